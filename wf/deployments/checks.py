"""What is wrong with a deployment before anything of it starts."""

import re
from collections.abc import Iterator

from wf.deployments.spec import DeploymentSpec
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


_LEAST_MEMORY = 6 << 20  # the engine's own limit
