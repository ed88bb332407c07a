"""Run a workflow: in Docker where an engine answers, else its steps as processes of this machine."""

import argparse
import os
import sys
from contextlib import closing

from wf.commands.shared import add_choices, add_workflow, chosen_reuse, compile_workflow, open_store, with_images
from wf.errors import Interrupted, TaskFailed
from wf.plan import parse_size


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A workflow, where and how to run it, and how to tell about it."""
    add_workflow(parser)
    add_choices(parser)
    jobs = min(4, os.cpu_count() or 1)
    parser.add_argument("-j", "--jobs", type=_count, default=jobs, metavar="N", help=f"jobs at once ({jobs})")
    parser.add_argument(
        "--output",
        choices=("live", "plain", "json"),
        default="live",
        help="what to print: live on a terminal, plain lines elsewhere, or json for programs",
    )
    parser.add_argument(
        "--log-limit",
        type=_bytes,
        default=4 << 30,
        metavar="SIZE",
        help="of each job's log keep this much, the newest; for example 100MiB (4GiB)",
    )
    parser.add_argument(
        "-k",
        "--keep-going",
        action="store_true",
        help="when a member of a matrix fails, run the others all the same, whatever its `fail-fast` says",
    )


def execute(arguments: argparse.Namespace) -> int:
    """Run it; how it went is told by the report, and by the exit code."""
    plan = compile_workflow(arguments)
    reuse = chosen_reuse(arguments, plan)

    from wf.backends.choose import choose
    from wf.deployments.handlers import deployment_handler
    from wf.deployments.service import Deployments
    from wf.gradient.emulator import Emulator
    from wf.report import open_report
    from wf.runner import run_plan
    from wf.secrets import load_secrets
    from wf.settings import load_settings

    settings = load_settings(plan.root)
    plan = with_images(plan, arguments.image, settings).with_inputs_mode(arguments.inputs_mode)
    plan = plan.without_fail_fast() if arguments.keep_going else plan
    backend, reason = choose(arguments.backend, plan.root, settings)
    store = open_store(plan.root)
    secrets = load_secrets(store.layout.folder, environ=os.environ, env_file=arguments.secrets)
    deployments = Deployments(plan.root, settings, secrets)
    emulator = Emulator(plan.root, deployments)
    with closing(emulator), open_report(arguments.output, store, sys.stdout) as emit:
        result = run_plan(
            plan,
            backend=backend,
            store=store,
            secrets=secrets,
            emit=emit,
            jobs=arguments.jobs,
            reuse=reuse,
            log_limit=arguments.log_limit,
            backend_reason=reason,
            handlers=(deployment_handler(deployments, lambda request: request.by), emulator),
        )
    for warning in result.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if result.state == "cancelled":
        raise Interrupted("stopped")
    if result.state != "succeeded":
        raise TaskFailed("a job failed")
    return 0


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
