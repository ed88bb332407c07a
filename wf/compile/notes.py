"""What is collected while a workflow is compiled: problems, each with its place."""

from collections.abc import Mapping
from difflib import get_close_matches

from wf.errors import Problem
from wf.source import Document


class Notes:
    """Everything that is wrong with one file, so far."""

    def __init__(self, document: Document, problems: list[Problem]) -> None:
        self.document = document
        self.problems = problems
        self._has_expressions = b"${{" in document.json  # looking at each value takes long

    def add(
        self, message: str, *loc: str | int, hint: str = "", at_key: bool = False, is_warning: bool = False
    ) -> None:
        """Note a problem with the value at `loc`, or with its key."""
        span = self.document.key_span(loc) if at_key else self.document.span(loc)
        self.problems.append(Problem(message, span, hint, is_warning))

    def unknown_input(self, name: str, declared: Mapping[str, object], *loc: str | int) -> None:
        """Note that the workflow has no such input."""
        hint = did_you_mean(name, declared) or "declare it under `inputs:` at the top of the file"
        self.add(f"the workflow has no input `{name}`", *loc, hint=hint)

    def expressions(self, owner: str, value: object, *loc: str | int) -> None:
        """Note every `${{ }}` in a value, however deep; `owner` begins the sentence."""
        if not self._has_expressions:
            return
        if isinstance(value, str) and "${{" in value:
            hint = "write the reference alone, for example `workflow.inputs.epochs`"
            self.add(f"{owner}`${{{{ }}}}` means nothing in this format", *loc, hint=hint)
        children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, child in children:
            self.expressions(owner, child, *loc, key)


def did_you_mean(name: str, known: Mapping[str, object]) -> str:
    """A hint at the name that is nearest, whatever its case."""
    by_case = {candidate.lower(): candidate for candidate in known}
    near = get_close_matches(name.lower(), by_case, n=1, cutoff=0.6)
    return f"did you mean `{by_case[near[0]]}`?" if near else ""


def list_of(intro: str, names: Mapping[str, object]) -> str:
    """A hint that names all there are."""
    return f"{intro} {', '.join(f'`{name}`' for name in names)}" if names else f"{intro} none"
