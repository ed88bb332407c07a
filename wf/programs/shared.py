"""What the programs have in common: parameters in, one sentence out if it goes wrong."""

import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

_VARIABLE: Final = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})")


class ProgramError(Exception):
    """What went wrong, as the job's log shows it."""


def expand(text: str, env: Mapping[str, str]) -> str:
    """`$NAME` and `${NAME}` filled in from the job's environment; what it does not have stays as it is."""
    return _VARIABLE.sub(lambda match: env.get(match[1] or match[2], match[0]), text)


def has_variable(text: str) -> bool:
    """Whether `expand` may change it."""
    return _VARIABLE.search(text) is not None


def run_program(work: Callable[[Mapping[str, str]], None], argv: Sequence[str] | None = None) -> int:
    """Call `work` with the parameters, expanded; returns the exit code.

    The command line is `--with JSON`; the job's environment is JSON too, in the variable `WF_JOB_ENV`.
    """
    _, text = sys.argv[1:] if argv is None else argv
    env: dict[str, str] = json.loads(os.environ["WF_JOB_ENV"])
    try:
        work({name: expand(value, env) for name, value in json.loads(text).items()})
    except ProgramError as error:
        print(f"error: {error}", flush=True)  # noqa: T201 - a job's log is what it prints
        return 1
    return 0


def output_folder(path: str) -> Path:
    """The folder of this machine that is `/outputs/...` for the job, made if it is not there.

    Raises:
        ProgramError: it would lie elsewhere.
    """
    outputs = Path(os.environ["WF_OUTPUTS"])
    folder = outputs / path.removeprefix("/outputs").strip("/")
    if not path.startswith("/outputs/") or ".." in folder.parts or outputs == folder:
        raise ProgramError(f"`path` must be /outputs/NAME or a folder in it, not `{path}`")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
