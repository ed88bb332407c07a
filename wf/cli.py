"""The command line: finds the subcommand, and is the only place that prints errors and chooses exit codes."""

import argparse
import errno
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from wf import __version__
from wf.errors import EnvironmentProblem, InvalidWorkflow, Problem, TaskFailed, WfError

COMMANDS: Final = {
    "Run": {
        "run": "run a workflow",
        "resume": "go on with a run that did not come to its end",
        "plan": "show what a run would do",
        "validate": "check workflow files",
        "graph": "draw the jobs: Mermaid or SVG",
    },
    "Look back": {
        "runs": "list earlier runs",
        "show": "show one run: jobs, outputs, metrics",
        "logs": "print what a job printed",
        "why": "say why a job ran, or did not have to",
        "diff": "compare two runs",
        "provenance": "state what a run made, of what: SLSA",
        "gc": "free disk space",
        "fsck": "check that everything kept is whole, and repair it",
    },
    "Data": {
        "datasets": "list, import, export and tag versioned data",
        "artifacts": "list, show and export what jobs left",
        "models": "list and export what workflows registered",
    },
    "Serve": {
        "deployments": "keep services running, and change them without a lost request",
        "predict": "ask a deployment how users would rate movies",
        "recommend": "ask a deployment which movies a user would like best",
    },
    "Set up": {
        "secrets": "keep values that jobs get and nobody sees",
        "registry": "keep accounts at private image registries",
        "steps": "list the project's steps, or explain one",
        "schema": "a JSON schema of workflow files, for editors",
        "doctor": "check this machine: Docker, disk, GPU, network",
    },
}

_REFUSALS: Final = frozenset(
    getattr(errno, name)
    for name in ("EACCES", "EPERM", "EROFS", "ENOSPC", "EDQUOT", "EIO", "ELOOP", "ENAMETOOLONG", "ENOTDIR", "EMFILE")
)
"""What this machine says when it will not do something that `wf` may well ask for."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, or what `wf.errors` says."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return _dispatch(words)
    except InvalidWorkflow as error:
        _print_problems(error.problems)
        return error.exit_code
    except TaskFailed as error:
        return error.exit_code
    except WfError as error:
        print(f"error: {error}", file=sys.stderr)
        for line in error.hint.splitlines():
            print(f"  {line}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader, such as `head`, has seen enough; Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno not in _REFUSALS:
            return _report_bug(error)
        about = f"{error.filename}: " if error.filename is not None else ""
        print(f"error: {about}{error.strerror}", file=sys.stderr)
        return EnvironmentProblem.exit_code
    except Exception as error:  # noqa: BLE001 - the last resort: nobody should meet a traceback
        return _report_bug(error)


def _dispatch(words: list[str]) -> int:
    names = [name for group in COMMANDS.values() for name in group]
    command = words[0] if words else "--help"
    if command in ("-h", "--help", "help"):
        print(_help())
        return 0
    if command in ("-V", "--version"):
        print(f"wf {__version__}")
        return 0
    if command not in names:
        from difflib import get_close_matches

        near = get_close_matches(command, names, n=1)
        hint = f"did you mean `wf {near[0]}`?" if near else "`wf --help` lists the commands"
        raise InvalidWorkflow([Problem(f"wf has no command `{command}`", hint=hint)])
    try:
        os.getcwd()  # noqa: PTH109 - only whether there is one
    except FileNotFoundError:
        raise EnvironmentProblem("the current folder is gone", hint="Go to one that is there: cd ~") from None
    module = importlib.import_module(f"wf.commands.{command}")
    parser = argparse.ArgumentParser(
        prog=f"wf {command}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.add_arguments(parser)
    exit_code: int = module.execute(parser.parse_args(words[1:]))
    return exit_code


def _help() -> str:
    lines = ["Run machine-learning workflows, written as YAML jobs, in Docker.", "", "usage: wf COMMAND ...", ""]
    for title, commands in COMMANDS.items():
        lines += [f"{title}:", *(f"  {name:<13}{about}" for name, about in commands.items()), ""]
    return "\n".join([*lines, "`wf COMMAND --help` explains a command."])


def _print_problems(problems: Sequence[Problem]) -> None:
    from wf.source import excerpt

    for problem in problems:
        print(excerpt(problem), end="\n\n", file=sys.stderr)
    warnings = sum(problem.is_warning for problem in problems)
    errors = len(problems) - warnings
    parts = [
        f"{count} {word}{'s' if count > 1 else ''}"
        for count, word in ((errors, "error"), (warnings, "warning"))
        if count
    ]
    print(" and ".join(parts), file=sys.stderr)


def _report_bug(error: Exception) -> int:
    import tempfile
    import traceback

    handle, name = tempfile.mkstemp(prefix="wf-bug-", suffix=".log", text=True)
    with os.fdopen(handle, "w") as log:
        log.write(f"wf {__version__}, Python {sys.version}, {sys.platform}\nwf {' '.join(sys.argv[1:2])}\n\n")
        log.write("".join(traceback.format_exception(error)))
    print(f"error: this is a bug in wf: {type(error).__name__}: {error}", file=sys.stderr)
    print(f"  {Path(name)} tells where; please report it", file=sys.stderr)
    return 4
