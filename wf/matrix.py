"""`strategy: {matrix: ...}`: one job written once becomes a job for each combination of values.

Everything here works on the file's data, before it is fitted to the format: a member of a matrix is what its author
could have written by hand, with every `matrix.NAME` replaced by a value.
"""

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from wf.errors import Problem
from wf.plan import INDEX
from wf.references import NAME, WorkflowInput, parse_input, parse_matrix
from wf.source import MAX_NODES, Document, Loc, scalar

MOST_COMBINATIONS: Final = 256
_REPLACED: Final = ("with", "env", "resources", "timeout", "inputs", "outputs", "cache")
"""The keys of a job in which `matrix.NAME` stands for a value."""
_AS_TEXT: Final = ("env", "inputs", "outputs", "cache")
_LONGEST_LABEL: Final = 60
_PLAIN: Final = re.compile(r"[A-Za-z0-9+-][\w.+:@=-]{0,39}")

Value = str | int | float | bool


class Choice(Struct, frozen=True):
    """One value of a combination."""

    value: Value
    text: str
    """As it is written."""
    label: str
    """A short name for it, which can name a file."""


Combination = Mapping[str, Choice]


class Member(Struct, frozen=True):
    """One job of a matrix."""

    id: str
    """`Train (bias, 1)`"""
    entry: str
    """What it is called in a folder that holds an output of all members: `bias,1`."""
    combination: Combination

    @property
    def values(self) -> dict[str, Value]:
        """The variables with their values."""
        return {name: choice.value for name, choice in self.combination.items()}


class Matrix(Struct, frozen=True):
    """A job with its members, in the order of the file."""

    job: str
    members: tuple[Member, ...]

    @property
    def variables(self) -> frozenset[str]:
        """What varies: the same in all members."""
        return frozenset(self.members[0].combination)

    def is_like(self, other: Member) -> bool:
        """Whether a member of some matrix has all variables of this one: then it has to do with one member only."""
        return self.variables <= other.combination.keys()

    def counterpart(self, other: Member) -> Member | None:
        """The member with the same values, if there is one."""
        if not self.is_like(other):
            return None
        wanted = {name: other.combination[name].value for name in self.variables}
        return next((member for member in self.members if member.values == wanted), None)


class Expansion(Struct, frozen=True):
    """A file's data in which every matrix is written out."""

    document: Document
    """It knows where the members stand."""
    data: dict[str, Any]
    matrices: Mapping[str, Matrix] = {}
    problems: Sequence[Problem] = ()
    broken: frozenset[str] = frozenset()
    """Jobs whose matrix is wrong: they are left as they are."""

    @property
    def members(self) -> dict[str, tuple[Matrix, Member]]:
        """The members of all matrices, by their ids."""
        return {member.id: (matrix, member) for matrix in self.matrices.values() for member in matrix.members}


def expand(document: Document, data: dict[str, Any], settings: Mapping[str, str]) -> Expansion:
    """Write out every matrix.

    Args:
        document: where everything stands.
        data: the file's data; what is not as the format demands is left for the validation.
        settings: values for the workflow's inputs, by name: a variable may take its values from one.
    """
    jobs = data.get("jobs")
    if not isinstance(jobs, dict):
        return Expansion(document, data)
    reader = _Reader(document, _inputs(data, settings))
    matrices: dict[str, Matrix] = {}
    written: dict[str, Any] = {}
    broken = set()
    has_references = b'"matrix.' in document.json  # looking at each value takes long
    for name, job in jobs.items():
        strategy = job.get("strategy") if isinstance(job, dict) else None
        if isinstance(strategy, dict) and "matrix" in strategy:
            matrix = reader.matrix(name, strategy["matrix"])
            if matrix and reader.fits(name, job, matrix):
                matrices[name] = matrix
                written |= {each.id: reader.member(name, job, each.combination) for each in matrix.members}
                continue
            broken.add(name)
        elif has_references and isinstance(job, dict):
            reader.refuse_references(name, job)
        written[name] = job
    copies: dict[Loc, Loc] = {
        ("jobs", member.id): ("jobs", name) for name, matrix in matrices.items() for member in matrix.members
    }
    known = document.with_copies(copies)
    return Expansion(known, {**data, "jobs": written}, matrices, reader.problems, frozenset(broken))


def told_once(problems: Iterable[Problem], matrices: Mapping[str, Matrix]) -> list[Problem]:
    """Problems that speak of jobs as the file does: what is wrong in all members of a matrix is said once."""
    names = {f"`{member.id}`": f"`{name}`" for name, matrix in matrices.items() for member in matrix.members}
    told: dict[Problem, None] = {}
    for problem in problems:
        message = problem.message
        for member, job in names.items() if " (" in message else ():
            message = message.replace(member, job)
        told[replace(problem, message=message)] = None
    return list(told)


def _inputs(data: Mapping[str, Any], settings: Mapping[str, str]) -> dict[str, str]:
    """The workflow's inputs that have a value."""
    declared = data.get("inputs")
    values = {}
    for name, spec in declared.items() if isinstance(declared, dict) else ():
        filled = spec.get("with") if isinstance(spec, dict) else None
        if isinstance(filled, dict) and isinstance(filled.get("value"), str):
            values[name] = filled["value"]
    return {**values, **settings}


class _Reader:
    """Reads the matrices of one file, noting what is wrong."""

    def __init__(self, document: Document, inputs: Mapping[str, str]) -> None:
        self.problems: list[Problem] = []
        self._document = document
        self._inputs = inputs
        self._nodes = 0

    def fits(self, name: str, job: Mapping[str, Any], matrix: Matrix) -> bool:
        """Whether the file, with this matrix written out, is one that could have been written."""
        self._nodes += len(matrix.members) * sum(1 for _ in _nodes(job))
        if self._nodes > MAX_NODES:
            self._add(f"job `{name}`: written out, the matrix makes the workflow too big", ("jobs", name, "strategy"))
        return self._nodes <= MAX_NODES

    def matrix(self, job: str, given: object) -> Matrix | None:
        """The members, or nothing after a complaint."""
        loc: Loc = ("jobs", job, "strategy", "matrix")
        before = len(self.problems)
        if not isinstance(given, dict) or not given:
            hint = "for example `matrix: {model: [bias, mf], seed: [1, 2]}`"
            self._add(f"job `{job}`: a matrix is a mapping from names to lists of values", loc, hint)
            return None
        axes = {
            name: self._axis(job, name, values, (*loc, name))
            for name, values in given.items()
            if name not in ("include", "exclude")
        }
        included = self._listed(job, given.get("include", []), (*loc, "include"))
        excluded = self._listed(job, given.get("exclude", []), (*loc, "exclude"))
        if len(self.problems) > before:
            return None
        count = len(included)
        if axes:
            sizes = 1
            for values in axes.values():
                sizes *= len(values)
            count += sizes
        if count > MOST_COMBINATIONS:
            self._add(f"job `{job}`: {count} combinations are too many: there may be {MOST_COMBINATIONS}", loc)
            return None
        product: Iterator[Combination] = (
            dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())
        )
        combinations: list[Combination] = [
            each for each in product if axes and not any(_matches(each, out) for out in excluded)
        ]
        combinations += included
        self._check(job, combinations, included, list(axes), loc)
        return _named(job, combinations) if len(self.problems) == before else None

    def _check(
        self, job: str, combinations: list[Combination], included: list[Combination], axes: list[str], loc: Loc
    ) -> None:
        if not combinations:
            self._add(f"job `{job}`: the matrix has no combinations", loc)
            return
        names = set(axes or included[0])
        for number, each in enumerate(included):
            if set(each) != names:
                listed = ", ".join(f"`{name}`" for name in (axes or included[0]))
                self._add(f"job `{job}`: this combination must give {listed}", (*loc, "include", number))
        seen: list[dict[str, Value]] = []
        for each in combinations:
            values = {name: choice.value for name, choice in each.items()}
            if values in seen:
                shown = ", ".join(f"{name}: {choice.text}" for name, choice in each.items())
                self._add(f"job `{job}`: the matrix has the combination `{shown}` twice", loc)
                return
            seen.append(values)

    def _axis(self, job: str, name: str, values: object, loc: Loc) -> list[Choice]:
        if not re.fullmatch(NAME, name):
            message = f"`{name}` cannot name a variable of a matrix: use letters, digits, `-` and `_`"
            self._add(message, loc, at_key=True)
        reference = parse_input(values) if isinstance(values, str) else None
        if isinstance(reference, WorkflowInput):
            if reference.name not in self._inputs:
                self._add(f"job `{job}`: the matrix needs a value for the input `{reference.name}`", loc)
                return []
            values = scalar(self._inputs[reference.name])
        if not isinstance(values, list) or not values:
            hint = f"write `{name}: [...]`; `exclude` and `include` take lists of combinations"
            self._add(f"job `{job}`: the values of `{name}` must be a list", loc, hint)
            return []
        return [self._choice(job, name, value, number, (*loc, number)) for number, value in enumerate(values)]

    def _choice(self, job: str, name: str, value: object, number: int, loc: Loc) -> Choice:
        if not isinstance(value, Value):
            self._add(f"job `{job}`: a value of `{name}` must be text, a number or a truth value", loc)
            return Choice("", "", "")
        written = str(value).lower() if isinstance(value, bool) else str(value)
        text = self._document.text(loc) or written
        return Choice(value, text, text if _PLAIN.fullmatch(text) else f"{name}-{number + 1}")

    def _listed(self, job: str, given: object, loc: Loc) -> list[Combination]:
        """What `include` or `exclude` holds."""
        if not isinstance(given, list) or not all(isinstance(each, dict) and each for each in given):
            hint = "for example `[{model: mf, seed: 2}]`"
            self._add(f"job `{job}`: `{loc[-1]}` is a list of combinations", loc, hint)
            return []
        return [
            {name: self._choice(job, name, value, number, (*loc, number, name)) for name, value in each.items()}
            for number, each in enumerate(given)
        ]

    def member(self, name: str, job: Mapping[str, Any], combination: Combination) -> dict[str, Any]:
        """The job as it is for one combination."""
        # What the format's own actions take is text: a value need not be quoted twice to be it.
        typed = str(job.get("uses")).startswith("./")
        return {
            key: self._filled(
                name, value, combination, (key,), as_text=key in _AS_TEXT or (key == "with" and not typed)
            )
            if key in _REPLACED
            else value
            for key, value in job.items()
        }

    def refuse_references(self, name: str, job: Mapping[str, Any]) -> None:
        """Complain about every `matrix.NAME` in a job that has no matrix."""
        for loc, variable in _references(job):
            hint = "give the job `strategy: {matrix: {" + variable + ": [...]}}`"
            self._add(
                f"job `{name}`: `matrix.{variable}` means nothing: the job has no matrix", ("jobs", name, *loc), hint
            )

    def _filled(self, job: str, value: Any, combination: Combination, loc: Loc, *, as_text: bool) -> Any:
        def filled(key: str | int, child: Any) -> Any:
            return self._filled(job, child, combination, (*loc, key), as_text=as_text)

        if isinstance(value, dict):
            return {key: filled(key, child) for key, child in value.items()}
        if isinstance(value, list):
            return [filled(number, child) for number, child in enumerate(value)]
        variable = parse_matrix(value) if isinstance(value, str) else None
        if variable is None:
            return value
        if variable not in combination:
            hint = f"it has {', '.join(f'`{name}`' for name in combination)}"
            self._add(f"job `{job}`: the matrix has no `{variable}`", ("jobs", job, *loc), hint)
            return value
        choice = combination[variable]
        return choice.text if as_text else choice.value

    def _add(self, message: str, loc: Loc, hint: str = "", *, at_key: bool = False) -> None:
        span = self._document.key_span(loc) if at_key else self._document.span(loc)
        self.problems.append(Problem(message, span, hint))


def _references(job: Mapping[str, Any]) -> Iterator[tuple[Loc, str]]:
    for loc, value in _nodes({key: job[key] for key in _REPLACED if key in job}):
        if isinstance(value, str) and (variable := parse_matrix(value)):
            yield loc, variable


def _nodes(job: Mapping[str, Any]) -> Iterator[tuple[Loc, Any]]:
    pending: list[tuple[Loc, Any]] = [((), job)]
    for loc, value in pending:  # grows while it is walked
        yield loc, value
        children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        pending += [((*loc, key), child) for key, child in children]


def _matches(combination: Combination, pattern: Combination) -> bool:
    return all(name in combination and combination[name].value == choice.value for name, choice in pattern.items())


def _named(job: str, combinations: Sequence[Combination]) -> Matrix:
    """Members with names that differ: by the labels of their values, or by numbers where these will not do."""
    labels = [[choice.label for choice in each.values()] for each in combinations]
    entries = [",".join(each) for each in labels]
    if len(set(entries)) < len(entries) or INDEX in entries or max(map(len, entries)) > _LONGEST_LABEL:
        labels = [[f"#{number}"] for number in range(1, len(combinations) + 1)]
        entries = [f"{number:03}" for number in range(1, len(combinations) + 1)]
    return Matrix(
        job,
        tuple(
            Member(f"{job} ({', '.join(label)})", entry, combination)
            for label, entry, combination in zip(labels, entries, combinations, strict=True)
        ),
    )
