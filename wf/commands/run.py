"""Run a workflow: in Docker where an engine answers, else its steps as processes of this machine."""

import argparse
import os
from pathlib import Path

from wf.commands.shared import add_choices, add_output, add_workflow, chosen_reuse, compile_workflow, with_images
from wf.plan import parse_size


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A workflow, where and how to run it, and how to tell about it."""
    add_workflow(parser)
    add_choices(parser)
    jobs = min(4, os.cpu_count() or 1)
    parser.add_argument("-j", "--jobs", type=_count, default=jobs, metavar="N", help=f"jobs at once ({jobs})")
    add_output(parser)
    parser.add_argument(
        "--log-limit",
        type=_bytes,
        metavar="SIZE",
        help="of each job's log keep this much, the newest; for example 100MiB (what wf.toml says, or 4GiB)",
    )
    parser.add_argument(
        "-k",
        "--keep-going",
        action="store_true",
        help="when a member of a matrix fails, run the others all the same, whatever its `fail-fast` says",
    )


def execute(arguments: argparse.Namespace) -> int:
    """Run it; how it went is told by the report, and by the exit code."""
    from wf.backends.choose import Search

    search = None if arguments.backend == "process" else Search()
    plan = compile_workflow(arguments, to_run=True)
    reuse = chosen_reuse(arguments, plan)

    from wf.commands.execution import carry_out
    from wf.settings import load_settings
    from wf.store.joblog import DEFAULT_LIMIT
    from wf.store.resume import Settings

    project = load_settings(plan.root)
    plan = with_images(plan, arguments.image, project).with_inputs_mode(arguments.inputs_mode)
    plan = plan.without_fail_fast() if arguments.keep_going else plan
    settings = Settings(
        backend=arguments.backend,
        jobs=arguments.jobs,
        reuse=reuse.allowed,
        forced=tuple(sorted(reuse.forced)),
        secrets=_path(arguments.secrets),
        inputs=_path(arguments.inputs),
        set=tuple(arguments.set),
        image=tuple(arguments.image),
        inputs_mode=arguments.inputs_mode,
        log_limit=arguments.log_limit or project.log_limit or DEFAULT_LIMIT,
        keep_going=arguments.keep_going,
    )
    return carry_out(plan, settings, arguments.output, search=search)


def _path(path: Path | None) -> str:
    return str(path.absolute()) if path else ""


def _bytes(text: str) -> int:
    number = parse_size(text)
    if not number:
        raise argparse.ArgumentTypeError("write a size such as 100MiB")
    return number


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number
