"""Show what a run would do, job by job, in the order of their needs, and what of it is done already. Nothing runs."""

import argparse
import json
import os
from functools import cache
from typing import TYPE_CHECKING, Final

from wf.commands.shared import add_choices, add_workflow, chosen_reuse, compile_workflow, open_store, with_images
from wf.plan import (
    SUCCESS,
    DatasetRef,
    GatheredOutput,
    HostProgram,
    Image,
    Plan,
    ProjectImage,
    Resources,
    Retry,
    SharedVolume,
    Task,
    TaskInput,
    TaskOutput,
    Text,
    UpstreamOutput,
)
from wf.report.text import size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wf.runner import Reuse
    from wf.runner.forecast import Forecast
    from wf.settings import Settings


_BELOW: Final = "\n" + " " * 11
"""Between the lines of a label: they stand under each other."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A workflow, what `wf run` would be told, and the form of the answer."""
    add_workflow(parser)
    add_choices(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def execute(arguments: argparse.Namespace) -> int:
    """Print the plan."""
    plan = compile_workflow(arguments)
    reuse = chosen_reuse(arguments, plan)

    from wf.settings import load_settings

    settings = load_settings(plan.root)
    plan = with_images(plan, arguments.image, settings).with_inputs_mode(arguments.inputs_mode)
    forecasts = _forecasts(plan, reuse, settings, arguments)
    print(json.dumps(_as_json(plan, forecasts), indent=2) if arguments.json else _as_text(plan, forecasts))
    return 0


def _forecasts(
    plan: Plan, reuse: "Reuse", settings: "Settings", arguments: argparse.Namespace
) -> "dict[str, Forecast]":
    from wf.runner.forecast import first_forecast, forecast
    from wf.store.layout import Layout

    if not Layout(plan.root).database.exists():
        return first_forecast(plan, reuse)

    from wf.backends.choose import choose
    from wf.secrets import load_secrets

    store = open_store(plan.root)
    return forecast(
        plan,
        backend=cache(lambda: choose(arguments.backend, plan.root, settings)[0]),
        store=store,
        secrets=load_secrets(store.layout.folder, environ=os.environ, env_file=arguments.secrets),
        reuse=reuse,
    )


def _as_text(plan: Plan, forecasts: "Mapping[str, Forecast]") -> str:
    stored = sum(each.cached_from is not None for each in forecasts.values())
    skipped = sum(each.verdict == "skipped" for each in forecasts.values())
    parts = [f"{number} of them {what}" for number, what in ((stored, "cached"), (skipped, "skipped")) if number]
    lines = [", ".join([f"{plan.workflow}: {len(plan.tasks)} job{'s' if len(plan.tasks) > 1 else ''}", *parts])]
    if plan.inputs:
        lines.append("inputs  " + ", ".join(f"{name}={value}" for name, value in plan.inputs.items()))
    for number, task in enumerate(plan.tasks, 1):
        lines += ["", f"{number}. {task.id}  ({task.action})", f"   {_expected(forecasts[task.id])}"]
        lines += [f"   {label:<8}{_BELOW.join(texts)}" for label, texts in _details(task) if texts]
    return "\n".join(lines)


def _expected(forecast: "Forecast") -> str:
    cached = f"from run {forecast.cached_from}" if forecast.cached_from is not None else ""
    match forecast.verdict:
        case "skipped":
            return f"skipped {forecast.reason}"
        case "perhaps":
            then = f"it is cached {cached}" if cached else f"it runs: {forecast.reason}"
            return f"perhaps {forecast.condition}; then {then}"
        case "runs" if cached:
            return f"cached  {cached}"
        case "runs":
            return f"runs    {'; '.join(filter(None, (forecast.reason, forecast.condition)))}"


def _details(task: Task) -> list[tuple[str, list[str]]]:
    """What there is to say of a task: labels, and a line for each thing that there is of it."""
    instead = f", for {asked}" if (asked := _stands_for(task.image)) else ""
    image = _image(task.image)
    given = [f"{name}: {_short(value)}" for name, value in task.parameters.items() if name not in task.defaulted]
    if task.defaulted:
        given.append(f"({len(task.defaulted)} more at their defaults: wf steps {task.action.rpartition('/')[2]})")
    env = [f"{name}={_short(value)}" for name, value in task.env.items()]
    env += [f"{name}=secret:{secret.name}{'?' * secret.optional}" for name, secret in task.secrets.items()]
    limits = _limits(task.resources, task.timeout, network=task.network)
    return [
        ("matrix", [f"{name}: {value}" for name, value in task.member.values.items()] if task.member else []),
        ("image", [image + instead] if image else []),
        ("needs", [", ".join(task.needs)] if task.needs else []),
        ("with", given),
        ("env", env),
        ("input", [f"{port.name} <- {_source(port)}" for port in task.inputs]),
        ("output", [_output(port) for port in task.outputs]),
        ("limits", [limits] if limits else []),
        ("if", [task.condition.text] if task.condition.text != SUCCESS.text else []),
        ("retry", [_retry(task.retry)] if task.retry.attempts > 1 else []),
    ]


def _image(image: Image | HostProgram | None) -> str | None:
    if image is None:
        return None
    if isinstance(image, HostProgram):
        return "none: runs on this machine"
    return f"built from containers/{image.name}" if isinstance(image, ProjectImage) else image.ref


def _stands_for(image: Image | HostProgram | None) -> str:
    return "" if image is None or isinstance(image, HostProgram) else image.stands_for


def _short(value: object) -> str:
    text = str(value).replace("\n", "\\n")
    return text if len(text) <= 90 else text[:87] + "..."


def _source(port: TaskInput) -> str:
    match port.source:
        case UpstreamOutput(job, output):
            return f"{job}.outputs.{output}"
        case GatheredOutput(job, output, members):
            return f"{job}.outputs.{output} of all {len(members)}"
        case DatasetRef(ref):
            return f"dataset {ref}"
        case SharedVolume(name):
            return f"volume {name} of the run"
        case Text(value):
            return f"text {_short(value)!r}"


def _output(port: TaskOutput) -> str:
    what = f"dataset {port.dataset}" if port.dataset else port.type
    return f"{port.name} ({what}{', ' + port.format if port.format else ''})"


def _retry(retry: Retry) -> str:
    pause = f", after {retry.backoff:g} s and more" if retry.backoff else ""
    return f"{retry.attempts} attempts on {', '.join(retry.on)}{pause}"


@cache
def _limits(wanted: Resources, timeout: float | None, *, network: bool) -> str:
    parts = [
        f"cpus {wanted.cpus:g}" if wanted.cpus else "",
        f"memory {size(wanted.memory)}" if wanted.memory else "",
        f"pids {wanted.pids}" if wanted.pids else "",
        f"gpus {wanted.gpus}" if wanted.gpus else "",
        f"timeout {timeout:g} s" if timeout else "",
        "" if network else "no network",
    ]
    return ", ".join(part for part in parts if part)


def _as_json(plan: Plan, forecasts: "Mapping[str, Forecast]") -> dict[str, object]:
    return {
        "workflow": str(plan.workflow),
        "inputs": dict(plan.inputs),
        "jobs": [
            {
                "name": task.id,
                "cached_from": forecasts[task.id].cached_from,
                "reason": forecasts[task.id].reason,
                "verdict": forecasts[task.id].verdict,
                "condition": forecasts[task.id].condition,
                "uses": task.action,
                "image": _image(task.image),
                "image_stands_for": _stands_for(task.image),
                "matrix": dict(task.member.values) if task.member else None,
                "needs": list(task.needs),
                "with": dict(task.parameters),
                "env": dict(task.env),
                "secrets": {name: secret.name for name, secret in task.secrets.items()},
                "inputs": {port.name: {"type": port.type, "from": _source(port)} for port in task.inputs},
                "outputs": {
                    port.name: {"type": port.type, "dataset": port.dataset, "format": port.format}
                    for port in task.outputs
                },
                "resources": {
                    "cpus": task.resources.cpus,
                    "memory": task.resources.memory,
                    "pids": task.resources.pids,
                    "gpus": task.resources.gpus,
                    "instance-type": task.resources.instance_type,
                },
                "timeout": task.timeout,
                "retry": {"attempts": task.retry.attempts, "backoff": task.retry.backoff, "on": list(task.retry.on)},
                "if": task.condition.text,
                "network": task.network,
            }
            for task in plan.tasks
        ],
    }
