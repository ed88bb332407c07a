"""Arguments and habits that several commands share."""

import argparse
import gc
import re
import sys
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from wf.errors import InvalidWorkflow, Problem
from wf.events import now
from wf.plan import Plan, parse_duration
from wf.project import STORE, find_root

if TYPE_CHECKING:
    from wf.runner import Reuse
    from wf.settings import Settings
    from wf.store import Store
    from wf.store.records import JobRecord, RunRecord


def add_workflow(parser: argparse.ArgumentParser) -> None:
    """A workflow file and values for its inputs."""
    parser.add_argument(
        "workflow", type=Path, metavar="FILE", help="a workflow, for example workflows/train-model.yaml"
    )
    add_inputs(parser)


def add_inputs(parser: argparse.ArgumentParser) -> None:
    """Values for the inputs of a workflow."""
    parser.add_argument(
        "--inputs", type=Path, metavar="FILE", help="values of workflow inputs, in YAML or JSON; --set wins over it"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="the value of a workflow input; may be repeated",
    )


def compile_workflow(arguments: argparse.Namespace, *, to_run: bool = False) -> Plan:
    """The plan of the workflow that `add_workflow` asked for; its warnings are printed.

    `to_run` says that the project gets a store now, if it has none.
    """
    from wf.remembered import recall, remember

    path, root, settings = arguments.workflow, find_root(arguments.workflow), read_settings(arguments)
    plan = recall(path, root, settings)
    if plan is None:
        plan, warnings = _compile(path, root, settings)
        if not warnings and (to_run or (root / STORE).is_dir()):
            store_folder(root)
            remember(plan, root, settings)
    gc.freeze()  # the plan stays: no search for garbage need look at it
    return plan


def _compile(path: Path, root: Path, settings: Mapping[str, str]) -> tuple[Plan, list[Problem]]:
    """Compile, and print the warnings."""
    from wf.compile import compile_file
    from wf.source import excerpt

    plan, warnings = compile_file(path, root, settings)
    for warning in warnings:
        print(excerpt(warning), end="\n\n", file=sys.stderr)
    return plan, warnings


def add_images(parser: argparse.ArgumentParser) -> None:
    """Images to use in place of others."""
    parser.add_argument(
        "--image",
        action="append",
        default=[],
        metavar="OLD=NEW",
        help="use an image in place of another; may be repeated, and wins over [images] in wf.toml",
    )


def add_choices(parser: argparse.ArgumentParser) -> None:
    """What decides how the jobs of a workflow run, and whether they have to."""
    add_images(parser)
    parser.add_argument(
        "--backend",
        choices=("auto", "docker", "process"),
        default="auto",
        help="where jobs run: auto is docker if an engine answers, else process",
    )
    parser.add_argument("--no-cache", action="store_true", help="run every job, whatever has run before")
    parser.add_argument(
        "--force", action="append", default=[], metavar="JOB", help="run this job in any case; may be repeated"
    )
    parser.add_argument("--secrets", type=Path, metavar="FILE", help="a file of NAME=value lines")
    parser.add_argument(
        "--inputs-mode",
        choices=("cow", "ro", "shared"),
        default="cow",
        help="volumes and datasets that scripts and containers read: cow lets each job change a copy of its own, "
        "ro lets none, shared lets all jobs of the run change one copy",
    )


def add_output(parser: argparse.ArgumentParser) -> None:
    """How to tell about a run."""
    parser.add_argument(
        "--output",
        choices=("live", "plain", "json"),
        default="live",
        help="what to print: live on a terminal, plain lines elsewhere, or json for programs",
    )


def chosen_reuse(arguments: argparse.Namespace, plan: Plan) -> "Reuse":
    """What of `add_choices` says which jobs run in any case."""
    from wf.runner import Reuse

    found = {job: [task.id for task in plan.tasks_of(job)] for job in arguments.force}
    if unknown := [job for job, tasks in found.items() if not tasks]:
        hint = f"it has {', '.join(f'`{task.id}`' for task in plan.tasks)}"
        raise InvalidWorkflow([Problem(f"the workflow has no job `{job}` to force", hint=hint) for job in unknown])
    forced = frozenset(task for tasks in found.values() for task in tasks)
    return Reuse(allowed=not arguments.no_cache, forced=forced)


def with_images(plan: Plan, pairs: list[str], settings: "Settings") -> Plan:
    """The plan with the images that `add_images` asked for, and those of the project's settings."""
    from wf.aliases import apply_aliases, parse_aliases

    named = parse_aliases(pairs)
    return apply_aliases(plan, {**named, **{old: new for old, new in settings.images.items() if old not in named}})


def open_history(folder: Path) -> "Store":
    """The store of the project around a folder, if it has one.

    Raises:
        InvalidWorkflow: nothing has run in this project yet.
    """
    root = find_root(folder)
    if not (root / ".wf").exists():
        raise InvalidWorkflow([Problem(f"nothing has run in `{root}` yet", hint="start with `wf run FILE`")])
    return open_store(root)


def open_store(root: Path) -> "Store":
    """The project's store. What a killed `wf` has left is swept up first, but for jobs that a run may still take over.

    That costs a query if there is nothing.
    """
    from wf.store import Store

    store = Store.open(root)
    sweep(store, root, keep=store.claims.named_runs())
    return store


def sweep(store: "Store", root: Path, *, keep: Collection[int], workflow: str = "") -> None:
    """Remove what runs have left whose `wf` is dead: all runs, or those of a workflow, but not those to `keep`."""
    left = [run for run in store.history.recover() if run.id not in keep and workflow in ("", run.workflow)]
    for name in sorted({run.backend for run in left}):
        _sweep(store, root, name, [run.id for run in left if run.backend == name])


def _sweep(store: "Store", root: Path, backend_name: str, runs: list[int]) -> None:
    from wf.backends.choose import choose
    from wf.errors import EnvironmentProblem
    from wf.settings import load_settings

    try:
        backend, _ = choose("docker" if backend_name == "docker" else "process", root, load_settings(root))
        removed = backend.sweep(runs)
    except EnvironmentProblem:
        # Its engine does not answer now, so its containers do not run either: the next command tries again.
        return
    store.history.mark_swept(runs)
    if removed:
        numbers = ", ".join(str(run) for run in sorted(runs))
        print(f"swept up {removed} leftovers of run {numbers}, whose wf was killed", file=sys.stderr)


def store_folder(folder: Path) -> Path:
    """The `.wf` of the project around a folder, made if it is not there."""
    from wf.store.layout import Layout

    layout = Layout(find_root(folder))
    layout.create()
    return layout.folder


def ask_secret(prompt: str, *, from_stdin: bool) -> str:
    """A value that is typed without being shown, or read whole from standard input but for one line end."""
    if from_stdin:
        try:
            value = sys.stdin.buffer.read().decode().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            raise InvalidWorkflow([Problem("what standard input holds is not UTF-8 text")]) from None
    elif sys.stdin.isatty():
        from getpass import getpass

        value = getpass(prompt)
    else:
        raise InvalidWorkflow([Problem("there is no terminal to ask at", hint="`--help` says how to give it instead")])
    if not value or "\0" in value:
        raise InvalidWorkflow([Problem("the value is empty, or no text")])
    return value


def find_jobs(run: int, jobs: "tuple[JobRecord, ...]", name: str) -> "tuple[JobRecord, ...]":
    """The job of a run that a person means, whatever case and signs they write; of a matrix all members."""
    wanted = _plain_name(name)
    for spelt in (_plain_name, lambda job: _plain_name(job.partition(" (")[0])):
        if found := tuple(job for job in jobs if spelt(job.name) == wanted):
            exact = tuple(job for job in found if job.name == name)
            return exact or found
    names = ", ".join(f"`{job.name}`" for job in jobs)
    raise InvalidWorkflow([Problem(f"run {run} has no job `{name}`", hint=f"it has {names}")])


def _plain_name(name: str) -> str:
    return "-".join(re.findall(r"[a-z0-9.]+", name.lower()))


def parse_age(text: str) -> timedelta | None:
    """`30d`, `12h`, `90m`, `2w`, or nothing if the text is no such thing."""
    seconds = parse_duration(text) if text[-1:].isalpha() else None
    try:
        return None if seconds is None else timedelta(seconds=seconds)
    except OverflowError:
        return None


def since(run: "RunRecord") -> float:
    """Seconds from a run's start to its end, or to this moment."""
    end = datetime.fromisoformat(run.finished) if run.finished else now()
    return (end - datetime.fromisoformat(run.started)).total_seconds()


def read_settings(arguments: argparse.Namespace) -> dict[str, str]:
    """What `add_inputs` asked for."""
    settings: dict[str, str] = {}
    if arguments.inputs:
        from wf.inputs import read_inputs

        settings = read_inputs(arguments.inputs)
    for pair in arguments.set:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise InvalidWorkflow([Problem(f"`--set {pair}` sets nothing", hint="write `--set NAME=VALUE`")])
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise InvalidWorkflow([Problem(f"what `--set {name}=...` says is not UTF-8 text")])
        settings[name] = value
    return settings
