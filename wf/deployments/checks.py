"""What is wrong with a deployment before anything of it starts."""

import re
from collections.abc import Iterator

from wf.deployments.spec import STRATEGIES, DeploymentSpec, Rollout
from wf.errors import InvalidWorkflow, Problem

LONGEST_NAME = 100
_PROBE_PATH = r"/[!#-\[\]-~]*"  # what can stand in a request and in quotes: no blank, quote or backslash
_VARIABLE = r"[A-Za-z_][A-Za-z0-9_.-]*"


def check_name(name: str) -> None:
    """Raises `InvalidWorkflow` for what cannot name a deployment."""
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        hint = f"1 to {LONGEST_NAME} characters that can be printed"
        raise InvalidWorkflow([Problem(f"`{name}` cannot name a deployment", hint=hint)])


def check_spec(spec: DeploymentSpec) -> None:
    """Raises `InvalidWorkflow` with everything that is wrong with a spec."""
    problems = [Problem(message) for message in _problems(spec)]
    if problems:
        raise InvalidWorkflow(problems)


def _problems(spec: DeploymentSpec) -> Iterator[str]:
    if not re.fullmatch(r"(\./containers/)?[A-Za-z0-9][A-Za-z0-9._:/@-]*", spec.image):
        yield f"`{spec.image}` is not the name of an image"
    for name, port in (("port", spec.port), ("gRPC port", spec.grpc_port)):
        if port is not None and not 0 < port < 1 << 16:
            yield f"{port} is not a {name}"
    if spec.replicas < 0:
        yield f"{spec.replicas} replicas cannot be"
    for variable in (*spec.env, *spec.secrets):
        if not re.fullmatch(_VARIABLE, variable):
            yield f"`{variable}` cannot name a variable"
    for model in spec.models:
        if not model.path.startswith("/") or ".." in model.path.split("/") or model.path.strip("/") == "":
            yield f"model `{model.model}` needs an absolute path in the container, not `{model.path}`"
    yield from _probe_problems(spec)
    yield from _rollout_problems(spec.rollout)
    yield from _log_problems(spec)
    if spec.cpus is not None and spec.cpus <= 0:
        yield f"{spec.cpus:g} CPUs cannot be"
    if spec.memory is not None and spec.memory < _LEAST_MEMORY:
        yield f"{spec.memory} bytes of memory are too few: at least 6 MiB"


def _probe_problems(spec: DeploymentSpec) -> Iterator[str]:
    for name, probe in (("readiness", spec.readiness), ("liveness", spec.liveness), ("startup", spec.startup)):
        if probe is None:
            continue
        if probe.path is not None and not re.fullmatch(_PROBE_PATH, probe.path):
            yield f"the {name} probe cannot ask for `{probe.path}`"
        if probe.period <= 0 or probe.timeout <= 0 or probe.failures < 1 or probe.initial_delay < 0:
            yield f"the {name} probe needs times above 0 and at least 1 failure"


def _rollout_problems(rollout: Rollout) -> Iterator[str]:
    if rollout.strategy not in STRATEGIES:
        yield f"`{rollout.strategy}` is no strategy: {', '.join(STRATEGIES)} are"
    if not 0 < rollout.percent <= _ALL:
        yield f"a canary or a shadow gets more than 0 and at most 100 percent of the requests, not {rollout.percent:g}"
    if rollout.watch < 0:
        yield f"a revision cannot be watched for {rollout.watch:g} s"
    if not 0 <= rollout.max_error_rate <= 1:
        yield f"a rate of errors is from 0 to 1, not {rollout.max_error_rate:g}"
    if rollout.max_slowdown < 1:
        yield f"a revision may at least be as slow as the one before: {rollout.max_slowdown:g} is less than 1"


def _log_problems(spec: DeploymentSpec) -> Iterator[str]:
    log = spec.prediction_log
    if log is None:
        return
    if not 0 < log.sampling <= 1:
        yield f"the share of requests in the prediction log is above 0 and at most 1, not {log.sampling:g}"
    if log.seconds <= 0 or log.max_bytes <= 0:
        yield "the prediction log needs seconds and bytes above 0"
    if log.hashed and HASH_KEY not in {*spec.env, *spec.secrets}:
        yield f"hashes in the prediction log need a key that all replicas share: set {HASH_KEY}, best to a secret"


HASH_KEY = "PREDICTION_LOG_KEY"
_ALL = 100
_LEAST_MEMORY = 6 << 20  # the engine's own limit
