"""Go on with a run that failed, was stopped or was killed: what it had finished is taken over, the rest runs.

The plan, inputs, code and settings are those of that run, whatever has changed since; `wf run` takes what is there now.
A container that a killed `wf` has left running is carried on with.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from msgspec.structs import replace

from wf.commands.execution import carry_out
from wf.commands.shared import add_output, open_history, with_images
from wf.errors import InvalidWorkflow, Problem, WfError
from wf.plan import Plan
from wf.project import find_root
from wf.store.layout import below
from wf.store.resume import Unfinished


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which run, and how to tell about it."""
    parser.add_argument(
        "run",
        nargs="?",
        default="",
        metavar="RUN",
        help="the number of a run, or a workflow, whose last unfinished run is meant (the last unfinished one of all)",
    )
    add_output(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Go on; how it went is told by the report, and by the exit code."""
    root = find_root(Path.cwd())
    store = open_history(root)
    ref = arguments.run
    if ref and not ref.isdecimal():
        ref = below(Path(ref).resolve(), root)
    unfinished = store.history.find_unfinished(ref)
    if unfinished.plan.root != root:
        hint = f"`wf run {unfinished.workflow}` takes from it what is still the same"
        raise InvalidWorkflow([Problem(f"run {unfinished.id} began in `{unfinished.plan.root}`", hint=hint)])
    for change in _changes(unfinished):
        hint = f"run {unfinished.id} goes on as it was; `wf run {unfinished.workflow}` takes what is there now"
        print(f"note: {change} since: {hint}", file=sys.stderr)
    settings = replace(unfinished.settings, backend="docker" if unfinished.backend == "docker" else "process")
    return carry_out(unfinished.plan, settings, arguments.output, store=store, resumes=unfinished)


def _changes(unfinished: Unfinished) -> Iterator[str]:
    """What is no longer as it was when the run began."""
    try:
        now = _compiled_now(unfinished)
    except WfError:
        yield f"{unfinished.workflow} has gone, or has mistakes"
    else:
        if now.inputs != unfinished.plan.inputs:
            yield "inputs have changed"
        elif _essence(now) != _essence(unfinished.plan):
            yield f"{unfinished.workflow} has changed"
    if unfinished.looked_up.code and _code_now(unfinished) != unfinished.looked_up.code:
        yield "steps/ has changed"


def _compiled_now(unfinished: Unfinished) -> Plan:
    from wf.compile import compile_file
    from wf.inputs import read_inputs
    from wf.remembered import recall
    from wf.settings import load_settings

    settings, root = unfinished.settings, unfinished.plan.root
    values = read_inputs(Path(settings.inputs)) if settings.inputs else {}
    values |= dict(pair.split("=", 1) for pair in settings.set)
    workflow = unfinished.plan.workflow
    plan = recall(workflow, root, values) or compile_file(workflow, root, values)[0]
    plan = with_images(plan, list(settings.image), load_settings(root)).with_inputs_mode(settings.inputs_mode)
    return plan.without_fail_fast() if settings.keep_going else plan


def _essence(plan: Plan) -> Plan:
    """Everything about a plan but where in the file it stands, as the history keeps it."""
    from wf.plan_text import decode, encode

    nowhere = plan.tasks[0].span
    return decode(encode(replace(plan, tasks=tuple(replace(task, span=nowhere) for task in plan.tasks))))


def _code_now(unfinished: Unfinished) -> str:
    from wf.store.snapshot import code_digest

    return code_digest(unfinished.plan.root)
