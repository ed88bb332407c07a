"""Where the Docker engine is, how to talk to it, and what it can do.

An engine behind a socket of this machine is asked without the SDK, whose import takes 0.2 s. The SDK is for what is
rare (builds, pulls, deployments) and for engines elsewhere.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct

from wf.backends.questions import (
    NOT_FOUND,
    UNIX,
    Answer,
    Output,
    RefusalError,
    accepted,
    ask,
    follow,
    plain_host,
    target,
)
from wf.control.control import Doorway
from wf.errors import EngineGone, EnvironmentProblem

OLDEST_API = (1, 40)
"""Docker 19.03: the first that takes GPU requests."""
PATIENCE = 60
"""Seconds that an engine has for an answer."""


class Engine(Struct, frozen=True):
    """An engine that answered: where it is, and what it said about itself."""

    endpoint: Mapping[str, Any]
    """What the SDK needs to connect."""
    version: str
    api: str
    info: Mapping[str, Any]

    @property
    def address(self) -> str:
        """As `DOCKER_HOST` would name it."""
        return str(self.endpoint["base_url"])

    @property
    def cpus(self) -> int:
        """How many it has."""
        return int(self.info["NCPU"])

    @property
    def memory(self) -> int:
        """Bytes."""
        return int(self.info["MemTotal"])

    @property
    def root(self) -> Path:
        """Where it keeps images and containers, on its own machine."""
        return Path(self.info["DockerRootDir"])

    @property
    def is_local(self) -> bool:
        """Whether its folders are folders of this machine."""
        return self.address.startswith("unix://") and self.root.is_dir()

    def has_security(self, name: str) -> bool:
        """Whether it runs with `rootless`, `userns`, `selinux`, ..."""
        return any(f"name={name}" in option for option in self.info.get("SecurityOptions") or ())

    @property
    def gpu_driver(self) -> str:
        """How a container gets a GPU: `nvidia`, `cdi`, or nothing if there is no way."""
        if "nvidia" in (self.info.get("Runtimes") or {}):
            return "nvidia"
        devices = self.info.get("DiscoveredDevices") or ()
        if any(str(device.get("ID", "")).startswith("nvidia.com/gpu") for device in devices):
            return "cdi"
        # The engine finds this hook by itself and does not say so.
        if self.is_local and Path("/dev/nvidiactl").exists():
            import shutil

            return "nvidia" if shutil.which("nvidia-container-runtime-hook") else ""
        return ""

    def ask(
        self,
        path: str,
        method: str = "GET",
        body: object = None,
        query: Mapping[str, str] = {},
        timeout: float | None = PATIENCE,
    ) -> Answer:
        """What it answers to a question of its API.

        Raises `RefusalError` if it refuses, and `OSError` if it does not answer.
        """
        return _ask(self.endpoint, target(f"/v{self.api}{path}", query), timeout, method, body)

    def find(self, path: str) -> Any:
        """What it knows of something; nothing if there is no such thing."""
        try:
            return self.ask(path).value
        except RefusalError as refusal:
            if refusal.status != NOT_FOUND:
                raise
            return None

    def follow(self, container: str, *, attach: bool) -> Output:
        """What a container prints: from now on, or also what it has printed before."""
        if self.address.startswith(UNIX):
            path = f"/v{self.api}/containers/{container}/{'attach' if attach else 'logs'}"
            wanted = {"stdout": "1", "stderr": "1", "stream" if attach else "follow": "1"}
            return follow(self.address, target(path, wanted), PATIENCE, "POST" if attach else "GET")
        client = self.connect()
        try:
            how = {"stream": True} if attach else {"stream": True, "follow": True}
            chunks = (client.attach if attach else client.logs)(container, **how)
        except BaseException:
            client.close()
            raise
        return Output(chunks, client.close)

    def connect(self) -> Any:
        """A new `docker.APIClient`, untyped as its stubs are too incomplete.

        It costs 0.1 ms, so no two threads share one: the `requests.Session` in it promises nothing about threads.
        """
        return _client(self.endpoint, self.api)


def find_engine(timeout: int = 10) -> Engine:
    """Ask the engine that `DOCKER_HOST`, or else the current Docker context, names."""
    endpoint = _endpoint()
    address = str(endpoint["base_url"])
    with reporting(f"no Docker engine answers at {address}"):
        # Its version is not asked for by itself: that starts programs, as what it says of itself does again.
        api = _ask(endpoint, "/_ping", timeout).headers.get("api-version")
        if api is None:
            raise RefusalError("it does not say which API it speaks")
        info = _ask(endpoint, f"/v{api}/info", timeout).value
        if _numbers(api) < OLDEST_API:
            raise EnvironmentProblem(
                f"the Docker engine at {address} is too old: {info['ServerVersion']}, API {api}",
                hint="Docker 19.03 (API 1.40) or newer is needed.",
            )
        return Engine(endpoint, info["ServerVersion"], api, info)


def find_doorway(engine: Engine) -> Doorway | None:
    """How containers on the engine's usual network reach this machine; nothing where it runs elsewhere."""
    if "Docker Desktop" in engine.info.get("OperatingSystem", ""):
        return Doorway("127.0.0.1", "host.docker.internal")  # its virtual machine passes this on
    if not engine.address.startswith(("unix://", "http+unix://")):
        return None
    with reporting("the usual network of the engine cannot be looked up"):
        network = engine.find("/networks/bridge") or {"IPAM": {"Config": ()}}
    gateways = [each["Gateway"] for each in network["IPAM"]["Config"] or () if "." in each.get("Gateway", "")]
    return Doorway(gateways[0], gateways[0]) if gateways else None


@contextmanager
def reporting(what: str) -> Iterator[None]:
    """Turn whatever the SDK raises into an `EnvironmentProblem` that begins with `what`."""
    try:
        yield
    except Exception as error:
        if problem := _as_problem(what, error):
            raise problem from error
        raise


def _as_problem(what: str, error: Exception) -> EnvironmentProblem | None:
    if not isinstance(error, OSError):  # as all errors of `requests` are
        if "docker" not in sys.modules:
            return None
        import docker.errors

        if isinstance(error, docker.errors.APIError):
            return EnvironmentProblem(f"{what}: {_shortened(str(error.explanation or error))}")
        if not isinstance(error, docker.errors.DockerException):
            return None
    elif explanation := getattr(error, "explanation", None):
        return EnvironmentProblem(f"{what}: {_shortened(str(explanation))}")
    causes = _causes(error)
    reason, hint = _connection_failure(causes)
    kind = EngineGone if any(isinstance(cause, FileNotFoundError | ConnectionError) for cause in causes) else None
    return (kind or EnvironmentProblem)(f"{what}: {reason}", hint=hint)


def _endpoint() -> dict[str, Any]:
    if host := plain_host():
        return {"base_url": host}
    from docker.context import ContextAPI
    from docker.utils import kwargs_from_env

    arguments = dict(kwargs_from_env())
    if "base_url" in arguments:
        return arguments
    context = ContextAPI.get_context(os.environ.get("DOCKER_CONTEXT"))
    if context is None or not context.Host:
        raise EnvironmentProblem(
            f"the Docker context `{os.environ.get('DOCKER_CONTEXT')}` is not defined",
            hint="See `docker context ls`, or set DOCKER_HOST.",
        )
    return {"base_url": context.Host, "tls": context.TLSConfig or False}


def _ask(
    endpoint: Mapping[str, Any], target: str, timeout: float | None, method: str = "GET", body: object = None
) -> Answer:
    host = str(endpoint["base_url"])
    if host.startswith(UNIX):
        return accepted(ask(host, target, timeout, method, body))
    with closing(_client(endpoint, ".".join(map(str, OLDEST_API)))) as client:
        response = client.request(method, client.base_url + target, timeout=timeout, json=body)
    value = None
    if response.content and "json" in response.headers.get("Content-Type", ""):
        value = response.json()
    return accepted(Answer(response.status_code, {k.lower(): text for k, text in response.headers.items()}, value))


def _client(endpoint: Mapping[str, Any], version: str, timeout: int = PATIENCE) -> Any:
    from docker import APIClient

    return APIClient(**endpoint, version=version, timeout=timeout)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _causes(error: BaseException) -> list[BaseException]:
    """A chain of wrapped errors, outermost first."""
    causes = [error]
    while following := causes[-1].__cause__ or causes[-1].__context__:
        causes.append(following)
    return causes


def _connection_failure(causes: list[BaseException]) -> tuple[str, str]:
    """What lies at the bottom of a chain of errors, in words, and what to do about it."""
    for cause in causes:
        if isinstance(cause, PermissionError):
            return "permission denied on its socket", (
                "Add yourself to the group that owns it (`sudo usermod -aG docker $USER`, then log in again)."
            )
        if isinstance(cause, FileNotFoundError | ConnectionRefusedError):
            return "nothing listens there", (
                "Start Docker, or set DOCKER_HOST to where it listens. Steps also run without: `--backend process`."
            )
        if isinstance(cause, ConnectionError):
            return "it broke off", "What it logs, or `docker version`, may say why."
        if isinstance(cause, TimeoutError):
            return "it does not answer in time", "See whether the machine or the engine is overloaded."
    return _shortened(str(causes[0])), "Is it running? `docker version` says more."


def _shortened(explanation: str) -> str:
    """The last part of what the engine says about a chain of its own programs, which is what went wrong."""
    for noise in ("unable to start container process: ", "caused: "):
        explanation = explanation.rpartition(noise)[2]
    return explanation.strip().removesuffix(": unknown")
