"""The containers of one deployment: started, looked at, given traffic, removed. It decides nothing."""

import json
import re
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from secrets import token_hex
from typing import Final

from msgspec import Struct

from wf.backends.service import HealthCommand, Seen, Service
from wf.backends.services import Services
from wf.deployments import compare, liveness, proxy
from wf.deployments.mirror import Mirror
from wf.deployments.mounts import mount, serving_folder
from wf.deployments.proxy import Counts, Target
from wf.deployments.spec import DeploymentSpec, PredictionLog, Revision
from wf.errors import DeploymentFailed, EnvironmentProblem
from wf.logs import Masker
from wf.store.artifacts import Artifacts

LABEL: Final = "wf.deployment"
GRACE: Final = 30.0
"""Seconds that a replica has to answer what it has begun to."""
PATIENCE: Final = 120.0
"""Seconds until a replica must be ready, where no startup probe says."""

_COMPARER = "/compare.py"
_PREDICTIONS = "/var/log/predictions"
_LOOK = 0.25
_RELOAD_SECONDS = 15.0
_CHECK_SECONDS = 10.0
_PAUSES = (0.0, 0.3, 0.3)
"""Seconds before each question to the proxy: while its worker is replaced it may drop one, which says nothing of its
replicas."""
_LINES = 20


class Prepared(Struct, frozen=True):
    """A revision with all that a replica of it is started from."""

    revision: Revision
    secrets: Mapping[str, str]
    """Variable -> value."""
    sandbox: bool


class Fleet:
    """The containers of one deployment. For one thread."""

    def __init__(
        self,
        services: Services,
        artifacts: Artifacts,
        *,
        deployment: str,
        name: str,
        ports: tuple[int, int],
        predictions: Path,
        labels: Mapping[str, str],
        proxy_image: Callable[[], str],
        watcher_image: Callable[[], str],
        tell: Callable[[str], None],
    ) -> None:
        self._services = services
        self._artifacts = artifacts
        self._name = name
        self._host_name = re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")[:30] or "unnamed"
        self._ports = ports
        self._predictions = predictions
        self._labels = {**labels, LABEL: deployment}
        self._network = f"wf-{deployment}"
        self._proxy_image = proxy_image
        self._watcher_image = watcher_image
        self._tell = tell

    # Looking

    def replicas(self) -> list[Seen]:
        """All replicas of any revision, oldest first."""
        return self._services.find({**self._labels, "wf.role": "replica"})

    def of(self, revision: int) -> list[Seen]:
        """The replicas of a revision, oldest first."""
        return [each for each in self.replicas() if revision_of(each) == revision]

    def counts(self) -> dict[str, Counts]:
        """What the proxy knows of each replica; nothing where it does not run."""
        found = self._proxy()
        if found is None or found.phase != "running":
            return {}
        for pause in _PAUSES:
            time.sleep(pause)
            if counts := proxy.read_statistics(self._services.ask(found.id, proxy.STATISTICS)):
                return counts
        return {}

    def logs(self, replica: Seen, tail: int, masker: Masker) -> list[str]:
        """The last lines that it has printed."""
        printed = self._services.logs(replica.id, tail).decode("utf-8", "replace")
        return [masker.mask(line) for line in printed.splitlines()]

    def failed(self, replica: Seen, what: str, prepared: Prepared) -> DeploymentFailed:
        """The error for a replica that did not hold, with what it printed last, secrets masked."""
        lines = self.logs(replica, _LINES, Masker(prepared.secrets.values()))
        shown = "\n".join(f"  | {line}" for line in lines)
        return DeploymentFailed(f"{replica.name} {what}" + (f"; it printed\n{shown}" if lines else ""))

    def comparison(self) -> compare.Report:
        """What came of comparing answers until now."""
        found = self._services.find({**self._labels, "wf.role": "comparer"})
        if not found or found[0].phase != "running":
            return compare.Report()
        try:
            return compare.Report(**json.loads(self._services.ask(found[0].id, ("cat", str(compare.REPORT)))))
        except (ValueError, TypeError):
            return compare.Report()  # it has only just begun

    # Changing

    def start(self, prepared: Prepared) -> str:
        """Start a replica, which gets no traffic yet; returns its name."""
        revision, spec = prepared.revision, prepared.revision.spec
        self._services.ensure_network(self._network, self._labels)
        env = {**spec.env, **prepared.secrets}
        serving = serving_folder({**self._services.image_environment(revision.image), **env}, spec.command)
        mounts = tuple(
            mount(self._artifacts.path(digest), wanted.path, serving)
            for wanted, digest in zip(spec.models, revision.models, strict=True)
        )
        writable: tuple[tuple[Path, str], ...] = ()
        if spec.prediction_log:
            self._predictions.mkdir(parents=True, exist_ok=True)
            writable, env = ((self._predictions, _PREDICTIONS),), {**_log_settings(spec.prediction_log), **env}
        command, programs = spec.command, dict[str, bytes]()
        if spec.liveness:
            command = liveness.watched(self._whole_command(revision), spec.liveness, spec.port, _patience(spec))
            programs[liveness.PLACE] = self._services.image_file(self._watcher_image(), liveness.PROGRAM)
        name = f"wf-{self._host_name}-{revision.number}-{token_hex(3)}"
        self._tell(f"starting {name}")
        self._services.start(
            Service(
                name=name,
                image=revision.image,
                labels={**self._labels, "wf.role": "replica", "wf.revision": str(revision.number)},
                network=self._network,
                command=command,
                env=env,
                mounts=mounts,
                writable=writable,
                programs=programs,
                cpus=spec.cpus,
                memory=spec.memory,
                health=_health(spec),
                sandbox=prepared.sandbox,
                init=True,
            )
        )
        return name

    def route(
        self, shares: Mapping[str, float], revisions: Mapping[int, Revision], mirror: Mirror | None = None
    ) -> None:
        """Let each replica have its share of the requests that come from now on; those not named get none.

        Requests under way are finished where they are: see `settle`. Without a mirror, nothing is copied any more.
        """
        targets = [
            Target(each.name, revisions[revision_of(each)].spec, shares.get(each.name, 0.0))
            for each in self.replicas()
            if revision_of(each) in revisions
        ]
        config = proxy.configuration(targets, mirror).encode()
        found = self._proxy()
        if found is None:
            self._start_proxy(config)
        else:
            self._reload(found, config)

    def settle(self) -> None:
        """Wait until every request that was routed differently has its answer."""
        found = self._proxy()
        deadline = time.monotonic() + proxy.DRAIN + 5
        while found and len(self._proxies(found)) > proxy.PROCESSES and time.monotonic() < deadline:
            time.sleep(_LOOK)

    def await_ready(self, names: Collection[str], prepared: Prepared) -> None:
        """Wait until the proxy would give these replicas traffic.

        Raises:
            DeploymentFailed: one of them ended, or they take longer than their startup probe allows.
        """
        patience = _patience(prepared.revision.spec)
        deadline = time.monotonic() + patience
        while True:
            counts = self.counts()
            seen = [each for each in self.replicas() if each.name in names]
            for each in seen:
                if each.restarts or each.phase == "exited":
                    raise self.failed(each, how_it_ended(each), prepared)
            waiting = [each for each in seen if not (each.is_well and counts.get(each.name, _UNKNOWN).is_ready)]
            if not waiting:
                return
            if time.monotonic() > deadline:
                raise self.failed(waiting[0], f"was not ready within {patience:g} s", prepared)
            time.sleep(_LOOK)

    def await_checks(self, names: Collection[str]) -> None:
        """Wait a little for the proxy, which has just read its configuration anew, to check replicas that serve.

        They have their requests meanwhile, and count as not ready.
        """
        deadline = time.monotonic() + _CHECK_SECONDS
        while not all(self.counts().get(name, _UNKNOWN).is_ready for name in names) and time.monotonic() < deadline:
            time.sleep(_LOOK)

    def remove(self, replicas: Iterable[Seen | str]) -> None:
        """Stop and remove replicas, by what was seen of them or by their names."""
        names = {each if isinstance(each, str) else each.name for each in replicas}
        for each in self.replicas():
            if each.name in names:
                self._tell(f"removing {each.name}")
                self._services.remove(each.id, GRACE)

    def start_comparer(self, names: Sequence[str], port: int) -> str:
        """Start what asks these replicas again and compares their answers; returns its host name."""
        name = f"wf-{self._host_name}-comparer-{token_hex(3)}"
        self._services.start(
            Service(
                name=name,
                image=self._services.base_image(),
                labels={**self._labels, "wf.role": "comparer"},
                network=self._network,
                command=("python3", _COMPARER, *(f"{each}:{port}" for each in names)),
                files={_COMPARER: Path(compare.__file__).read_bytes()},
                sandbox=True,
                init=True,
            )
        )
        return name

    def remove_comparer(self) -> None:
        """Compare no more."""
        for each in self._services.find({**self._labels, "wf.role": "comparer"}):
            self._services.remove(each.id, 1)

    def clear(self) -> None:
        """Remove every container and the network."""
        for each in sorted(self._services.find(self._labels), key=lambda one: one.labels.get("wf.role") != "proxy"):
            self._services.remove(each.id, GRACE if each.labels.get("wf.role") == "replica" else 1)
        self._services.remove_network(self._network)

    def _whole_command(self, revision: Revision) -> tuple[str, ...]:
        """What a container of it runs: see `DeploymentSpec.command`."""
        command = revision.spec.command
        if command and not command[0].startswith("-"):
            return command
        entrypoint, arguments = self._services.image_command(revision.image)
        return (*entrypoint, *(command or arguments))

    # The proxy

    def _proxy(self) -> Seen | None:
        found = self._services.find({**self._labels, "wf.role": "proxy"})
        return found[0] if found else None

    def _start_proxy(self, config: bytes) -> None:
        self._services.ensure_network(self._network, self._labels)
        doorway = self._services.doorway()
        addresses = dict.fromkeys(["127.0.0.1", *([doorway.bind] if doorway else [])])
        http, grpc = ((*((address, port) for address in addresses),) for port in self._ports)
        self._services.start(
            Service(
                name=f"wf-{self._host_name}-proxy-{token_hex(3)}",
                image=self._proxy_image(),
                labels={**self._labels, "wf.role": "proxy"},
                network=self._network,
                command=proxy.COMMAND,
                publish={proxy.HTTP_PORT: http, proxy.GRPC_PORT: grpc},
                files={proxy.CONFIG_PATH: config},
                sandbox=True,
            )
        )

    def _proxies(self, found: Seen) -> set[int]:
        """Masters and workers in the proxy's container, where others may be asking something at the same time."""
        return set(self._services.processes(found.id, proxy.PROGRAM))

    def _reload(self, found: Seen, config: bytes) -> None:
        before = self._proxies(found)
        self._services.put(found.id, proxy.CONFIG_PATH, config)
        self._services.ask(found.id, proxy.RELOAD)
        deadline = time.monotonic() + _RELOAD_SECONDS
        while not self._proxies(found) - before:
            if time.monotonic() > deadline:
                lines = self._services.logs(found.id, _LINES).decode("utf-8", "replace")
                raise EnvironmentProblem(f"the proxy of `{self._name}` does not take its configuration:\n{lines}")
            time.sleep(_LOOK / 5)


_UNKNOWN = Counts(is_up=False, is_ready=False)


def how_it_ended(replica: Seen) -> str:
    """How it ended; the engine forgets that when it starts it again."""
    return "ended and was started again" if replica.phase == "running" else f"ended with exit code {replica.exit_code}"


def revision_of(replica: Seen) -> int:
    """The number of the revision that it is of."""
    return int(replica.labels["wf.revision"])


def _log_settings(log: PredictionLog) -> dict[str, str]:
    """How a model server is told, as `containers/serve` understands it."""
    return {
        "PREDICTION_LOG": _PREDICTIONS,
        "PREDICTION_LOG_SAMPLING": f"{log.sampling:g}",
        "PREDICTION_LOG_HASH": ",".join(log.hashed),
        "PREDICTION_LOG_SECONDS": f"{log.seconds:g}",
        "PREDICTION_LOG_MAX_BYTES": str(log.max_bytes),
    }


def _patience(spec: DeploymentSpec) -> float:
    """Seconds until a replica must be ready."""
    probe = spec.startup
    return probe.initial_delay + probe.period * probe.failures if probe else PATIENCE


def _health(spec: DeploymentSpec) -> HealthCommand | None:
    """The engine runs the command of a probe; the first that has one counts."""
    for probe in (spec.readiness, spec.startup):
        if probe and probe.command:
            return HealthCommand(probe.command, probe.period, probe.timeout, probe.failures, probe.initial_delay)
    return None
