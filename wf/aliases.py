"""Images that stand in for others: for those that cannot be pulled any more, or are too old.

An alias is a pattern and the image that takes the place of what it matches. Patterns are compared with an image's name
as the workflow writes it; `*` stands for anything, `?` for one character. The first that matches wins.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase

from wf.errors import InvalidWorkflow, Problem
from wf.plan import Plan, RegistryImage, Task


def apply_aliases(plan: Plan, aliases: Mapping[str, str]) -> Plan:
    """The plan with every image replaced that has an alias. An image that was put in is not replaced again."""
    return replace(plan, tasks=tuple(_aliased(task, aliases) for task in plan.tasks))


def parse_aliases(pairs: Iterable[str]) -> dict[str, str]:
    """The aliases that `OLD=NEW` words of the command line name, in their order."""
    aliases: dict[str, str] = {}
    for pair in pairs:
        old, _, new = pair.partition("=")
        if not old or not new:
            raise InvalidWorkflow([Problem(f"`--image {pair}` names no two images", hint="write `--image OLD=NEW`")])
        aliases.setdefault(old, new)
    return aliases


def _aliased(task: Task, aliases: Mapping[str, str]) -> Task:
    image = task.image
    if not isinstance(image, RegistryImage):
        return task
    new = next((new for pattern, new in aliases.items() if fnmatchcase(image.ref, pattern)), None)
    return task if new is None else replace(task, image=RegistryImage(new, stands_for=image.ref))
