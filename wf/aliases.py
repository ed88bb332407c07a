"""Images that stand in for others: for those that cannot be pulled any more, or are too old.

An alias is a pattern and the image that takes the place of what it matches. Patterns are compared with an image's name
as the workflow writes it; `*` stands for anything, `?` for one character. The first that matches wins. What takes the
place is an image's name, or `./containers/NAME` for one that the project builds.
"""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from wf.errors import InvalidWorkflow, Problem
from wf.plan import Image, Plan, ProjectImage, RegistryImage

FOLDER: Final = "./containers/"
"""What the name of an image begins with that the project builds."""


def apply_aliases(plan: Plan, aliases: Mapping[str, str]) -> Plan:
    """The plan with every image replaced that has an alias. An image that was put in is not replaced again.

    Raises `InvalidWorkflow` with all aliases that name a folder which is not there.
    """
    if not aliases:
        return plan
    problems: dict[str, Problem] = {}
    tasks = []
    for task in plan.tasks:
        image = task.image
        if isinstance(image, RegistryImage):
            try:
                image = find_image(image.ref, aliases, plan.root)
            except InvalidWorkflow as error:
                problems |= {problem.message: problem for problem in error.problems}
        tasks.append(replace(task, image=image))
    if problems:
        raise InvalidWorkflow(problems.values())
    return replace(plan, tasks=tuple(tasks))


def find_image(ref: str, aliases: Mapping[str, str], root: Path) -> Image:
    """The image that a name means in the project at `root`, whatever stands in for it.

    Raises `InvalidWorkflow` if that is to be built from a folder which is not there.
    """
    new = next((new for pattern, new in aliases.items() if fnmatchcase(ref, pattern)), ref)
    stands_for = ref if new != ref else ""
    if not new.startswith(FOLDER):
        return RegistryImage(new, stands_for)
    name = new.removeprefix(FOLDER).rstrip("/")
    folder = root / "containers" / name
    if not name or "/" in name or not (folder / "Dockerfile").is_file():
        for_what = f", which stands in for `{stands_for}`," if stands_for else ""
        known = sorted(path.parent.name for path in (root / "containers").glob("*/Dockerfile"))
        hint = f"there is {', '.join(f'`{FOLDER}{each}`' for each in known)}" if known else ""
        raise InvalidWorkflow([Problem(f"`{new}`{for_what} is no folder of {root} with a Dockerfile", hint=hint)])
    return ProjectImage(name, folder, stands_for)


def parse_aliases(pairs: Iterable[str]) -> dict[str, str]:
    """The aliases that `OLD=NEW` words of the command line name, in their order."""
    aliases: dict[str, str] = {}
    for pair in pairs:
        old, _, new = pair.partition("=")
        if not old or not new:
            raise InvalidWorkflow([Problem(f"`--image {pair}` names no two images", hint="write `--image OLD=NEW`")])
        aliases.setdefault(old, new)
    return aliases
