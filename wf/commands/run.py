"""Run a workflow: in Docker where an engine answers, else its steps as processes of this machine."""

import argparse
import os
import sys
from pathlib import Path

from wf.commands.shared import add_images, add_workflow, compile_workflow, open_store, with_images
from wf.errors import Interrupted, InvalidWorkflow, Problem, TaskFailed
from wf.plan import Plan


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A workflow, where and how to run it, and how to tell about it."""
    add_workflow(parser)
    add_images(parser)
    parser.add_argument(
        "--backend",
        choices=("auto", "docker", "process"),
        default="auto",
        help="where jobs run: auto is docker if an engine answers, else process",
    )
    jobs = min(4, os.cpu_count() or 1)
    parser.add_argument("-j", "--jobs", type=_count, default=jobs, metavar="N", help=f"jobs at once ({jobs})")
    parser.add_argument(
        "--output",
        choices=("live", "plain", "json"),
        default="live",
        help="what to print: live on a terminal, plain lines elsewhere, or json for programs",
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


def execute(arguments: argparse.Namespace) -> int:
    """Run it; how it went is told by the report, and by the exit code."""
    plan = compile_workflow(arguments)
    _check_names(arguments.force, plan)

    from wf.backends.choose import choose
    from wf.report import open_report
    from wf.runner import Reuse, run_plan
    from wf.secrets import load_secrets
    from wf.settings import load_settings

    settings = load_settings(plan.root)
    plan = with_images(plan, arguments.image, settings).with_inputs_mode(arguments.inputs_mode)
    backend, reason = choose(arguments.backend, plan.root, settings)
    store = open_store(plan.root)
    with open_report(arguments.output, store, sys.stdout) as emit:
        result = run_plan(
            plan,
            backend=backend,
            store=store,
            secrets=load_secrets(store.layout.folder, environ=os.environ, env_file=arguments.secrets),
            emit=emit,
            jobs=arguments.jobs,
            reuse=Reuse(allowed=not arguments.no_cache, forced=frozenset(arguments.force)),
            backend_reason=reason,
        )
    for warning in result.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if result.state == "cancelled":
        raise Interrupted("stopped")
    if result.state != "succeeded":
        raise TaskFailed("a job failed")
    return 0


def _check_names(forced: list[str], plan: Plan) -> None:
    names = [task.id for task in plan.tasks]
    if unknown := [name for name in forced if name not in names]:
        hint = f"it has {', '.join(f'`{name}`' for name in names)}"
        raise InvalidWorkflow([Problem(f"the workflow has no job `{name}` to force", hint=hint) for name in unknown])


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number
