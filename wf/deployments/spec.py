"""What a deployment is to be, and what it is: frozen records, plain data in and out."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

from msgspec import Struct, to_builtins

Strategy = Literal["rolling", "blue-green", "canary", "shadow"]
"""How a new revision takes the place of the old one. `rolling`: replica by replica. `blue-green`: all of the new one
is started beside the old one, then traffic moves at once. `canary`: the new one gets a share of the traffic first.
`shadow`: a share of the requests is copied to it, and its answers are compared and thrown away."""

STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)

DeploymentState = Literal["updating", "serving", "degraded", "scaled to zero", "stopped", "failed"]
"""`degraded`: fewer replicas are ready than there should be. `failed`: none of them is."""

ReplicaPhase = Literal["starting", "running", "restarting", "exited"]


class ModelMount(Struct, frozen=True):
    """A model of the store, shown read-only to every replica."""

    model: str
    """Its id, its name, or a dataset as `NAME`, `NAME:VERSION` or `NAME:TAG`."""
    path: str
    """Where its folder appears in the container."""


class Probe(Struct, frozen=True):
    """How to ask a replica whether it is well: by HTTP, by a command in it, or else by connecting to its port."""

    path: str | None = None
    """200-399 is well."""
    command: tuple[str, ...] = ()
    port: int | None = None
    """The deployment's port where there is none."""
    initial_delay: float = 0.0
    period: float = 10.0
    timeout: float = 1.0
    failures: int = 3
    """So many failures in a row count. Times are seconds."""


class Rollout(Struct, frozen=True):
    """How a revision takes over, and what it has to hold before the old one goes."""

    strategy: Strategy = "rolling"
    percent: float = 10.0
    """Of the requests, that a canary gets, or that are copied to a shadow."""
    watch: float = 10.0
    """Seconds for which it is watched while it has traffic."""
    max_error_rate: float = 0.05
    """The share of its answers that may be errors."""
    max_slowdown: float = 3.0
    """So many times may its answers take what those of the revision before take, on average."""


class PredictionLog(Struct, frozen=True):
    """What replicas keep of what they are asked and answer; variables named `PREDICTION_LOG...` tell them."""

    sampling: float = 1.0
    """The share of requests that is kept."""
    hashed: tuple[str, ...] = ()
    """Inputs of the model whose values are replaced by a keyed hash. The key is their variable PREDICTION_LOG_KEY."""
    seconds: float = 60.0
    """A file is written so often."""
    max_bytes: int = 1 << 30
    """Of all files together; the oldest go."""


class DeploymentSpec(Struct, frozen=True):
    """What to run and how it is reached."""

    image: str
    """A name as registries know it, for which the project's aliases count; or `./containers/NAME`."""
    command: tuple[str, ...] = ()
    """If its first word begins with `-`, arguments for the image's entrypoint; else it takes the entrypoint's place."""
    env: Mapping[str, str] = {}
    secrets: Mapping[str, str] = {}
    """Variable -> name of the secret that fills it when a replica starts."""
    port: int = 80
    """Where the container listens for HTTP."""
    grpc_port: int | None = None
    """Where it listens for gRPC, if it does."""
    replicas: int = 1
    models: tuple[ModelMount, ...] = ()
    readiness: Probe | None = None
    """Traffic reaches a replica only while this says so."""
    liveness: Probe | None = None
    startup: Probe | None = None
    """How long a replica may take until it is ready: `initial_delay + period * failures`."""
    cpus: float | None = None
    """Limit of each replica."""
    memory: int | None = None
    """Limit of each replica in bytes."""
    prediction_log: PredictionLog | None = None
    """What replicas keep of what they are asked and answer, in a folder that they share; nothing without it."""
    rollout: Rollout = Rollout()
    """How it took the place of the revision before."""
    enabled: bool = True
    """Whether it runs at all."""

    def to_json(self) -> dict[str, Any]:
        """Plain data from which `from_json` makes the same."""
        return _plain(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "DeploymentSpec":
        """What `to_json` wrote."""
        probes = {name: _probe(data[name]) for name in ("readiness", "liveness", "startup")}
        models = tuple(ModelMount(**each) for each in data["models"])
        log, rollout = _prediction_log(data["prediction_log"]), Rollout(**data.get("rollout", {}))
        made = {**probes, "models": models, "prediction_log": log, "rollout": rollout}
        return cls(**{**data, **made, "command": tuple(data["command"])})


class Replica(Struct, frozen=True):
    """One container of a deployment."""

    id: str
    """The engine's id of the container."""
    name: str
    revision: int
    phase: ReplicaPhase
    started: str | None
    """RFC 3339, as all times here."""
    finished: str | None
    ready: bool
    """Whether traffic reaches it."""
    restarts: int = 0


class Revision(Struct, frozen=True):
    """A spec that a deployment had at some time; numbers count from 1."""

    number: int
    spec: DeploymentSpec
    image: str
    """The id of the image that it resolved to."""
    models: tuple[str, ...]
    """The digests of its models, in the order of the spec: they stay in the store as long as this does."""
    created: str
    by: str
    why: str


class Change(Struct, frozen=True):
    """An entry of the history."""

    at: str
    action: str
    """`create`, `update`, `shadow`, `promote`, `discard`, `scale`, `stop`, `start`, `rollback`."""
    revision: int
    """The one that serves after it."""
    by: str
    why: str
    outcome: Literal["under way", "succeeded", "failed", "rolled back"]
    detail: str = ""
    """What happened, where it did not go as asked."""


class Shadow(Struct, frozen=True):
    """A revision that gets copies of requests, and how its answers compare with those that were given."""

    revision: int
    percent: float
    """Of the requests, that are copied."""
    compared: int = 0
    equal: int = 0
    """Answers with the same form, the same texts, and numbers that are as good as the same."""
    errors: int = 0
    """Answers of 500 and above, or none, where the revision that serves had one."""
    skipped: int = 0
    """Requests that were not compared, since they or their answers are too large or came too quickly."""
    mean_difference: float | None = None
    """Of numbers at the same place of both answers."""
    largest_difference: float | None = None
    seconds_serving: float | None = None
    """For an answer, on average."""
    seconds_shadow: float | None = None


class Deployment(Struct, frozen=True):
    """A deployment as it is now."""

    id: str
    """A UUID."""
    name: str
    spec: DeploymentSpec
    revision: int
    """The number of the revision that serves."""
    state: DeploymentState
    endpoint: str
    """`HOST:PORT` on this machine, without a scheme; it stays the same as long as the deployment exists."""
    grpc_endpoint: str | None
    endpoint_for_jobs: str | None
    """The same for containers of this machine's engine, if they can reach it."""
    created: str
    revisions: tuple[Revision, ...] = ()
    """Oldest first."""
    history: tuple[Change, ...] = ()
    """Oldest first."""
    replicas: tuple[Replica, ...] = ()
    shadow: Shadow | None = None
    prediction_log: str | None = None
    """The folder of this machine in which the prediction log is, if one is kept."""

    def to_json(self) -> dict[str, Any]:
        """The record as plain data."""
        return _plain(self)


def _plain(record: Struct) -> dict[str, Any]:
    plain: dict[str, Any] = to_builtins(record, enc_hook=str)
    return plain


def _probe(data: Mapping[str, Any] | None) -> Probe | None:
    return None if data is None else Probe(**{**data, "command": tuple(data["command"])})


def _prediction_log(data: Mapping[str, Any] | bool | None) -> PredictionLog | None:
    """Older revisions say only whether there is one."""
    if isinstance(data, bool):
        return PredictionLog() if data else None
    return None if data is None else PredictionLog(**{**data, "hashed": tuple(data["hashed"])})
