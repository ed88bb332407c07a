"""What `uses:` can name: one module for each action, found here by name."""

from collections.abc import Mapping
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Final

from wf.actions.base import CompileAction, Complain
from wf.actions.container import compile_container
from wf.actions.create_model import compile_create_model
from wf.actions.script import compile_script
from wf.actions.step import compile_step, load_step, step_names

ACTIONS: Final[Mapping[str, CompileAction]] = {
    "container@v1": compile_container,
    "script@v1": compile_script,
    "create-model@v1": compile_create_model,
}

_NOT_YET: Final = ("git-checkout@v1", "s3-download@v1")
STEP_PREFIX: Final = "./steps/"


def find_action(root: Path, uses: str, complain: Complain) -> CompileAction | None:
    """The action that `uses` names, or nothing after a complaint."""
    if uses in ACTIONS:
        return ACTIONS[uses]
    steps = step_names(root)
    name = uses.removeprefix(STEP_PREFIX)
    if uses.startswith(STEP_PREFIX) and name in steps:
        return partial(compile_step, root, load_step(root, name))
    if uses in _NOT_YET:
        complain(f"`{uses}` belongs to the format, but this version of wf does not run it yet", "uses")
        return None
    known = [*ACTIONS, *(STEP_PREFIX + step for step in steps)]
    near = get_close_matches(uses, known, n=1, cutoff=0.5)
    if uses.startswith(("actions/", "docker://")):
        hint = "GitHub's actions do not run here: use `script@v1` or `container@v1`"
    elif near:
        hint = f"did you mean `{near[0]}`?"
    else:
        hint = f"there are {', '.join(f'`{action}`' for action in known)}"
    kind = "step" if uses.startswith(STEP_PREFIX) else "action"
    complain(f"unknown {kind} `{uses}`", "uses", hint=hint)
    return None
