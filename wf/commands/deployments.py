"""Keep services running behind a port that stays: create, change without a lost request, look, delete."""

import argparse
import getpass
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from wf.commands.data import Answer, add_command, answer, moment
from wf.deployments.spec import STRATEGIES, Deployment, DeploymentSpec, PredictionLog, Rollout, Shadow
from wf.project import find_root
from wf.report.text import columns, size

if TYPE_CHECKING:
    from wf.deployments.service import Deployments

_REF = "the name or id of a deployment"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A subcommand with its own arguments."""
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    create = add_command(commands, "create", "start a deployment and wait until it serves")
    create.add_argument("name", metavar="NAME")
    create.add_argument("--spec", type=Path, required=True, metavar="FILE", help="what to run: docs/deployments.md")
    create.add_argument("--port", type=int, metavar="PORT", help="its port on this machine (a free one)")
    update = add_command(commands, "update", "put a new spec in the place of the old one, without a lost request")
    update.add_argument("deployment", metavar="DEPLOYMENT", help=_REF)
    update.add_argument("--spec", type=Path, required=True, metavar="FILE", help="what to run: docs/deployments.md")
    for each in (create, update):
        _add_prediction_log(each)
    rollback = add_command(commands, "rollback", "let an earlier revision serve again")
    rollback.add_argument("deployment", metavar="DEPLOYMENT", help=_REF)
    rollback.add_argument("--to", type=int, metavar="REVISION", help="its number (the one that served before)")
    for name, about in (
        ("promote", "let the revision serve that has been a shadow"),
        ("discard", "end a shadow"),
    ):
        add_command(commands, name, about).add_argument("deployment", metavar="DEPLOYMENT", help=_REF)
    for each in (update, rollback):
        _add_rollout(each)
    add_command(commands, "list", "list the deployments of this project")
    add_command(commands, "get", "show a deployment: replicas, revisions, history").add_argument(
        "deployment", metavar="DEPLOYMENT", help=_REF
    )
    logs = add_command(commands, "logs", "print what its replicas have printed")
    logs.add_argument("deployment", metavar="DEPLOYMENT", help=_REF)
    logs.add_argument("--tail", type=int, default=100, metavar="LINES", help="so many of each replica (100)")
    scale = add_command(commands, "scale", "change the number of replicas; 0 keeps the port and nothing else")
    scale.add_argument("deployment", metavar="DEPLOYMENT", help=_REF)
    scale.add_argument("replicas", type=_replicas, metavar="REPLICAS")
    for name, about in (
        ("stop", "remove its containers; its port and history are kept"),
        ("start", "let it serve again after a stop"),
    ):
        add_command(commands, name, about).add_argument("deployment", metavar="DEPLOYMENT", help=_REF)
    delete = add_command(commands, "delete", "remove it with its history; its models stay")
    delete.add_argument("deployment", metavar="DEPLOYMENT", help=_REF)
    delete.add_argument("--yes", action="store_true", help="do it; without this it is only shown")
    for name, each in commands.choices.items():
        if name not in ("list", "get", "logs", "delete"):
            each.add_argument("--why", default="", metavar="TEXT", help="a reason, for the history")


def _add_prediction_log(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--prediction-log",
        action=argparse.BooleanOptionalAction,
        help="keep what is asked and answered, or not; else the spec says so",
    )
    parser.add_argument("--log-sampling", type=float, metavar="SHARE", help="the share of requests in that log (1)")
    parser.add_argument(
        "--log-hash", action="append", metavar="INPUT", help="an input whose values are hashed there; may be repeated"
    )


def _add_rollout(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--strategy",
        choices=STRATEGIES,
        help="rolling: replica by replica; blue-green: all at once, beside the old; canary: a share of requests first; "
        "shadow: copies of requests, until `promote` or `discard`",
    )
    parser.add_argument("--percent", type=float, metavar="P", help="share of a canary or a shadow in percent (10)")
    parser.add_argument("--watch", type=float, metavar="SECONDS", help="to watch it with traffic (10)")
    parser.add_argument("--max-error-rate", type=float, metavar="RATE", help="of its answers, else it goes back (0.05)")
    parser.add_argument(
        "--max-slowdown", type=float, metavar="TIMES", help="what its answers may take by those before (3)"
    )


def execute(arguments: argparse.Namespace) -> int:
    """Do what the subcommand says, and print what came of it."""
    return answer(_COMMANDS[arguments.command](open_deployments(), arguments), as_json=arguments.json)


def open_deployments() -> "Deployments":
    """The deployments of the project around the working directory; progress goes to standard error."""
    from wf.deployments.service import Deployments
    from wf.project import STORE
    from wf.secrets import load_secrets
    from wf.settings import load_settings

    root = find_root(Path.cwd())
    secrets = load_secrets(root / STORE, environ=os.environ)
    return Deployments(root, load_settings(root), secrets, lambda line: print(line, file=sys.stderr, flush=True))


def _create(deployments: "Deployments", arguments: argparse.Namespace) -> Answer:
    made = deployments.create(arguments.name, read_spec(arguments), by=_me(), why=arguments.why, port=arguments.port)
    return _one(made)


def _update(deployments: "Deployments", arguments: argparse.Namespace) -> Answer:
    spec = read_spec(arguments)
    spec = replace(spec, rollout=_rollout(arguments, spec.rollout))
    return _one(deployments.update(arguments.deployment, spec, by=_me(), why=arguments.why))


def _rollback(deployments: "Deployments", arguments: argparse.Namespace) -> Answer:
    rollout = _rollout(arguments, Rollout())
    return _one(deployments.rollback(arguments.deployment, arguments.to, by=_me(), why=arguments.why, rollout=rollout))


def _list(deployments: "Deployments", _: argparse.Namespace) -> Answer:
    found = deployments.list()
    rows = [("name", "state", "revision", "ready", "endpoint", "image")]
    rows += [
        (each.name, each.state, str(each.revision), _ready(each), each.endpoint, each.spec.image) for each in found
    ]
    empty = "this project has no deployments yet: `wf deployments create NAME --spec FILE` makes one"
    return [each.to_json() for each in found], "\n".join(columns(rows)) if found else empty


def _get(deployments: "Deployments", arguments: argparse.Namespace) -> Answer:
    found = deployments.get(arguments.deployment)
    facts = [
        ("name", found.name),
        ("id", found.id),
        ("state", f"{found.state}, {_ready(found)} ready"),
        ("endpoint", f"http://{found.endpoint}"),
        ("grpc", found.grpc_endpoint or ""),
        ("image", found.spec.image),
        ("models", ", ".join(f"{each.model} at {each.path}" for each in found.spec.models)),
        ("log", _log(found)),
        ("created", moment(found.created)),
    ]
    facts += _shadow_facts(found.shadow) if found.shadow else []
    lines = [f"{label:<10}{text}" for label, text in facts if text]
    replicas = [("replica", "revision", "phase", "ready", "restarts", "started")]
    replicas += [
        (
            each.name, str(each.revision), each.phase, "yes" if each.ready else "no", str(each.restarts),
            moment(each.started or ""),
        )
        for each in found.replicas
    ]  # fmt: skip
    history = [("when", "what", "revision", "outcome", "by", "why")]
    history += [
        (moment(each.at), each.action, str(each.revision), each.outcome, each.by, _first_line(each.why, each.detail))
        for each in found.history
    ]
    tables = [columns(replicas)] if found.replicas else []
    return found.to_json(), "\n\n".join("\n".join(table) for table in (lines, *tables, columns(history)))


def _log(deployment: Deployment) -> str:
    """Where predictions are kept, and what of them."""
    log = deployment.spec.prediction_log
    if log is None:
        return deployment.prediction_log or ""
    share = f"{log.sampling:.4g} of the requests" if log.sampling < 1 else "all requests"
    hashed = f"{', '.join(log.hashed)} hashed" if log.hashed else ""
    limits = f"a file each {log.seconds:g} s, {size(log.max_bytes)} at most"
    return ", ".join(filter(None, [deployment.prediction_log or "no predictions yet", share, hashed, limits]))


def _shadow_facts(shadow: Shadow) -> list[tuple[str, str]]:
    """How a shadow does."""
    head = f"revision {shadow.revision} gets copies of {shadow.percent:g} % of the predictions"
    skipped = f"{shadow.skipped:,} not compared (too large or too many)" if shadow.skipped else ""
    facts = [("shadow", ", ".join(filter(None, [head, f"{shadow.compared:,} compared", skipped])))]
    if shadow.compared:
        facts.append(("", f"{shadow.equal / shadow.compared:.1%} of the answers equal, {shadow.errors:,} errors"))
    if shadow.mean_difference is not None:
        text = f"numbers differ by {shadow.mean_difference:.3g} on average, {shadow.largest_difference:.3g} at most"
        facts.append(("", text))
    if shadow.seconds_shadow is not None and shadow.seconds_serving is not None:
        took, serving = shadow.seconds_shadow * 1000, shadow.seconds_serving * 1000
        facts.append(("", f"an answer takes {took:.1f} ms, that of the one that serves {serving:.1f} ms"))
    return facts


def _logs(deployments: "Deployments", arguments: argparse.Namespace) -> Answer:
    logs = deployments.logs(arguments.deployment, arguments.tail)
    return logs, "\n".join(f"{name} │ {line}" for name, lines in logs.items() for line in lines)


def _promote(deployments: "Deployments", arguments: argparse.Namespace) -> Answer:
    return _one(deployments.promote(arguments.deployment, by=_me(), why=arguments.why))


def _discard(deployments: "Deployments", arguments: argparse.Namespace) -> Answer:
    return _one(deployments.discard(arguments.deployment, by=_me(), why=arguments.why))


def _scale(deployments: "Deployments", arguments: argparse.Namespace) -> Answer:
    return _one(deployments.scale(arguments.deployment, arguments.replicas, by=_me(), why=arguments.why))


def _stop(deployments: "Deployments", arguments: argparse.Namespace) -> Answer:
    return _one(deployments.stop(arguments.deployment, by=_me(), why=arguments.why))


def _start(deployments: "Deployments", arguments: argparse.Namespace) -> Answer:
    return _one(deployments.start(arguments.deployment, by=_me(), why=arguments.why))


def _delete(deployments: "Deployments", arguments: argparse.Namespace) -> Answer:
    if not arguments.yes:
        found = deployments.get(arguments.deployment)
        text = f"would delete {found.name} with {len(found.replicas)} replicas\nnothing was deleted: add --yes to do it"
        return found.to_json(), text
    deployments.delete(arguments.deployment, by=_me())
    return {"deleted": arguments.deployment}, f"deleted {arguments.deployment}"


def _one(deployment: Deployment) -> Answer:
    return deployment.to_json(), (
        f"{deployment.name}  {deployment.state}  revision {deployment.revision}, {_ready(deployment)} ready  "
        f"http://{deployment.endpoint}"
    )


def _ready(deployment: Deployment) -> str:
    ready = sum(each.ready for each in deployment.replicas if each.revision == deployment.revision)
    return f"{ready}/{deployment.spec.replicas if deployment.spec.enabled else 0}"


def _first_line(why: str, detail: str) -> str:
    return "; ".join(filter(None, [why, *detail.splitlines()[:1]]))


def read_spec(arguments: argparse.Namespace) -> DeploymentSpec:
    """What the file says, and the command line about the prediction log; warnings go to standard error.

    Raises:
        InvalidWorkflow: the file is wrong.
    """
    from wf.deployments.parse import load_spec
    from wf.source import excerpt

    spec = load_spec(arguments.spec, lambda problem: print(excerpt(problem), end="\n\n", file=sys.stderr))
    return replace(spec, prediction_log=_prediction_log(arguments, spec.prediction_log))


def _prediction_log(arguments: argparse.Namespace, stated: PredictionLog | None) -> PredictionLog | None:
    if arguments.prediction_log is False:
        return None
    wanted = stated or (PredictionLog() if arguments.prediction_log else None)
    if arguments.log_sampling is not None:
        wanted = replace(wanted or PredictionLog(), sampling=arguments.log_sampling)
    if arguments.log_hash:
        wanted = replace(wanted or PredictionLog(), hashed=tuple(arguments.log_hash))
    return wanted


def _rollout(arguments: argparse.Namespace, stated: Rollout) -> Rollout:
    """What a spec says, and what the command line says otherwise."""
    given = {name: getattr(arguments, name) for name in Rollout.__struct_fields__}
    return replace(stated, **{name: value for name, value in given.items() if value is not None})


def _me() -> str:
    """Who types this, for the history."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _replicas(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("at least 0")
    return number


_COMMANDS: Mapping[str, "Callable[[Deployments, argparse.Namespace], Answer]"] = {
    "create": _create,
    "update": _update,
    "rollback": _rollback,
    "promote": _promote,
    "discard": _discard,
    "list": _list,
    "get": _get,
    "logs": _logs,
    "scale": _scale,
    "stop": _stop,
    "start": _start,
    "delete": _delete,
}
