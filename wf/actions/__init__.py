"""What `uses:` can name: one module for each action, found here by name."""

from collections.abc import Mapping
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Final

from wf.actions.base import CompileAction, Complain
from wf.actions.container import compile_container
from wf.actions.create_model import compile_create_model
from wf.actions.programs import GIT, S3, compile_git_checkout, compile_s3_download
from wf.actions.script import compile_script
from wf.actions.step import compile_step, load_step, step_names
from wf.plan import IOType

ACTIONS: Final[Mapping[str, CompileAction]] = {
    "container@v1": compile_container,
    "script@v1": compile_script,
    "create-model@v1": compile_create_model,
}
PROGRAMS: Final = {GIT: compile_git_checkout, S3: compile_s3_download}
"""Actions that must know the outputs of their job: they fill them."""
STEP_PREFIX: Final = "./steps/"


def find_action(root: Path, uses: str, outputs: Mapping[str, IOType], complain: Complain) -> CompileAction | None:
    """The action that `uses` names, for a job with these outputs; or nothing after a complaint."""
    if uses in ACTIONS:
        return ACTIONS[uses]
    if uses in PROGRAMS:
        return partial(PROGRAMS[uses], outputs)
    steps = step_names(root)
    name = uses.removeprefix(STEP_PREFIX)
    if uses.startswith(STEP_PREFIX) and name in steps:
        return partial(compile_step, root, load_step(root, name))
    known = [*ACTIONS, *PROGRAMS, *(STEP_PREFIX + step for step in steps)]
    near = get_close_matches(uses, known, n=1, cutoff=0.5)
    if uses.startswith("actions/checkout"):
        hint = "write `git-checkout@v1` with `with: {url: ...}`"
    elif uses.startswith(("actions/", "docker://")):
        hint = "GitHub's actions do not run here: use `script@v1` or `container@v1`"
    elif "deploy" in uses and not uses.startswith(STEP_PREFIX):
        hint = "call `gradient deployments` in a `script@v1`, which `wf` answers"
    elif near:
        hint = f"did you mean `{near[0]}`?"
    else:
        hint = f"there are {', '.join(f'`{action}`' for action in known)}"
    kind = "step" if uses.startswith(STEP_PREFIX) else "action"
    complain(f"unknown {kind} `{uses}`", "uses", hint=hint)
    return None
