"""What happens to a deployment under load, and what each of it may cost."""

import math
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from tests.deployments.lab import GIVEN_UP, Lab, Load, ask, kill
from tests.faults.engine import PrivateEngine
from tests.soak.models import QUESTION, answer
from wf.deployments.spec import Deployment, DeploymentSpec, ModelMount, PredictionLog, Probe, Strategy
from wf.errors import DeploymentFailed, WfError
from wf.settings import load_settings

SWAPS: Final = 10
REPLICAS: Final = 2
CLIENTS: Final = 8
PATH: Final = "/v1/models/model:predict"
_STRATEGIES: tuple[Strategy, ...] = ("rolling", "blue-green", "canary")
_RECOVERY_SECONDS = 180

_PROBE: Final = Probe(path="/v1/models/model", period=2.0, timeout=10.0)
_BUSY: Final = 5.0
"""Seconds. Nothing that these clients need is down: what is left are the pauses of a machine whose processors load a
model, start containers and ask at the same time."""
_HANGING: Final = _PROBE.failures * (_PROBE.timeout + _PROBE.period) + 10 + _BUSY
"""Seconds until a replica that hangs is ended: its probe has failed so often, and SIGTERM has had its ten seconds."""
_HANGING_LOST: Final = (CLIENTS // 2 + 1) * math.ceil(_HANGING / GIVEN_UP)
"""A replica is given a request only while it has no more of them than the other: half of the clients, and one more as
the proxy chooses in two threads. One that has given up may meet it once more. The others go on."""
_STARTED_AGAIN: Final = 15.0
"""The engine starts a container that has ended: it waits 0.1 s, twice as long after each end, and may be busy."""
_ENGINE: Final = 120.0
"""A new engine, its containers, and then TensorFlow and a model in each replica."""


@dataclass(frozen=True, slots=True)
class Event:
    """What happened to requests while something went on."""

    name: str
    seconds: float
    answered: int
    lost: int
    allowed: int | None
    """So many may be lost; None where nobody can say, and the number is only told."""
    silence: float
    """The longest time without one good answer, in seconds."""
    bearable: float
    """So long it may be."""

    @property
    def holds(self) -> bool:
        """Whether it is as it has to be."""
        return (self.allowed is None or self.lost <= self.allowed) and self.silence <= self.bearable

    def line(self) -> str:
        """For people."""
        allowed = "any" if self.allowed is None else str(self.allowed)
        return (
            f"{self.name:<33}{self.seconds:6.1f} s{self.answered:>8,} answered{self.lost:>6,} lost (allowed: {allowed})"
            f", at most {self.silence:.2f} s without an answer (allowed: {self.bearable:g})"
        )


class Soak:
    """One deployment of the model server under load."""

    def __init__(self, lab: Lab, engine: PrivateEngine | None, tell: Callable[[str], None]) -> None:
        self._lab = lab
        self._engine = engine
        self._tell = tell
        self._made = lab.deployments.create("it", self._spec("good-0"), by="soak")
        self._load = Load(self._made, CLIENTS, QUESTION)
        self._has_small_disk = (lab.root / ".wf").is_mount()
        self.events: list[Event] = []

    def run(self, seconds: float) -> None:
        """All swaps, spread over the time, each followed by something bad."""
        bad = [
            self._kill_replica, self._broken, self._kill_haproxy, self._slow, self._hang, self._errors,
            self._kill_proxy, self._kill_replica,
        ]  # fmt: skip
        if self._has_small_disk:
            bad.insert(3, self._full_disk)
        if self._engine:
            bad.insert(3, self._restart_engine)
        start = time.monotonic()
        with self._load:
            for number in range(1, SWAPS + 1):
                self._swap(number)
                bad[(number - 1) % len(bad)](number)
                with self._counted("nothing", 0):
                    time.sleep(max(1.0, start + seconds * number / SWAPS - time.monotonic()))

    def conclude(self, left: list[str]) -> int:
        """Tell what came of it, with what is left over; the exit code."""
        wrong = [event.name for event in self.events if not event.holds]
        swaps = [event for event in self.events if event.name.startswith("swap")]
        self._tell(
            f"{sum(event.answered for event in self.events):,} answers; "
            f"{sum(event.lost for event in swaps)} lost in {len(swaps)} swaps; "
            f"{sum(event.lost for event in self.events):,} lost in all; left over: {', '.join(left) or 'nothing'}"
        )
        if wrong:
            self._tell(f"too many lost, or too long without an answer, during: {', '.join(wrong)}")
        if not self._engine or not self._has_small_disk:
            self._tell("not everything happened: as root a disk is filled, with --restart-engine an engine is killed")
        return 1 if wrong or left else 0

    def _spec(self, model: str) -> DeploymentSpec:
        return DeploymentSpec(
            image=self._lab.image,
            env={"MODEL_NAME": "model", "MODEL_BASE_PATH": "/models"},
            port=8501,
            replicas=REPLICAS,
            models=(ModelMount(model, "/models/model"),),
            readiness=_PROBE,
            liveness=_PROBE,
            startup=Probe(period=1.0, failures=300),
            prediction_log=PredictionLog(seconds=2.0),
        )

    def _swap(self, number: int) -> None:
        strategy = _STRATEGIES[number % len(_STRATEGIES)]
        with self._counted(f"swap, {strategy}", 0):
            self._lab.update(self._spec(f"good-{number}"), strategy, watch=5, max_slowdown=20)
        self._expect(number)

    def _kill_replica(self, number: int) -> None:
        with self._counted("a replica killed", CLIENTS):
            replica = self._lab.deployments.get("it").replicas[0]
            os.kill(self._lab.processes(replica.id)[1], signal.SIGKILL)
            self._await_recovery(lambda now: any(each.restarts for each in now.replicas))
        self._expect(number)

    def _hang(self, number: int) -> None:
        with self._counted("a replica hangs", _HANGING_LOST):
            replica = self._lab.deployments.get("it").replicas[0]
            os.kill(self._lab.processes(replica.id)[1], signal.SIGSTOP)
            self._await_recovery(lambda now: any(each.restarts for each in now.replicas))
        self._expect(number)

    def _kill_haproxy(self, number: int) -> None:
        with self._counted("the proxy's process killed", None):
            before = self._lab.processes(self._proxy())
            os.kill(before[2], signal.SIGKILL)
            self._await_recovery(lambda _: before[2] not in self._lab.processes(self._proxy()) and self._answers())
        self._expect(number)

    def _kill_proxy(self, number: int) -> None:
        with self._counted("the proxy's container killed", None, _STARTED_AGAIN):
            kill(self._proxy())
            self._await_recovery(lambda _: self._answers())
        self._expect(number)

    def _restart_engine(self, number: int) -> None:
        """Whoever asks meanwhile gets nothing; no `wf` does anything for what comes back."""
        assert self._engine
        with self._counted("the engine killed and restarted", None, _ENGINE):
            self._engine.kill()
            start = time.monotonic()
            while not self._answers():
                assert time.monotonic() - start < _RECOVERY_SECONDS
                time.sleep(0.2)
            self._tell(f"  it answers {time.monotonic() - start:.1f} s after the engine does")
            self._await_recovery(lambda _: True)
        self._expect(number)

    def _full_disk(self, number: int) -> None:
        """Requests are answered, an update is refused in words, and with room again all is as before."""
        filler = self._lab.root / ".wf" / "filler"
        with self._counted("a full disk", 0):
            with filler.open("wb", buffering=0) as file:
                try:
                    while file.write(b"0" * (1 << 16)):
                        pass
                except OSError:
                    pass
            try:
                self._lab.update(self._spec("good-0"), watch=1)
            except (WfError, OSError) as error:
                self._tell(f"  refused: {str(error).splitlines()[0]}")
            else:
                raise AssertionError("an update was recorded on a full disk")
            time.sleep(5)  # the log of predictions cannot be written
            filler.unlink()
            self._await_recovery(lambda _: True)
        self._expect(number)

    def _broken(self, number: int) -> None:
        spec = replace(self._spec("broken"), startup=Probe(period=1, failures=60))
        self._goes_back("a broken model", 0, number, spec)

    def _slow(self, number: int) -> None:
        self._goes_back("a slow model", 0, number, self._spec("slow"))

    def _errors(self, number: int) -> None:
        """Another server, which answers errors: a canary's share of them is lost until it goes back."""
        base = replace(self._lab.spec(REPLICAS, ERRORS="1"), image=load_settings(self._lab.root).docker.base_images[-1])
        self._goes_back("a server with errors, canary", None, number, base, "canary")

    def _goes_back(
        self, name: str, allowed: int | None, number: int, spec: DeploymentSpec, strategy: Strategy = "blue-green"
    ) -> None:
        with self._counted(name, allowed):
            try:
                self._lab.update(spec, strategy, watch=15, percent=20)
            except DeploymentFailed as failed:
                self._tell(f"  {str(failed).splitlines()[0]}")
            else:
                raise AssertionError(f"{name} was promoted")
        self._expect(number)

    def _expect(self, number: int) -> None:
        # The proxy takes a replica that has begun again for one that is well until it has looked at it.
        self._await_recovery(lambda now: ask(now, PATH, QUESTION) == (200, answer(number)))
        assert len(self._lab.containers()) == REPLICAS + 1, self._lab.containers()

    def _answers(self) -> bool:
        try:
            return ask(self._made, PATH, QUESTION)[0] == 200
        except OSError:
            return False

    def _proxy(self) -> str:
        return next(name for name in self._lab.containers() if "-proxy-" in name)

    def _await_recovery(self, happened: Callable[[Deployment], bool]) -> None:
        deadline = time.monotonic() + _RECOVERY_SECONDS
        while not (happened(now := self._lab.deployments.get("it")) and now.state == "serving"):
            assert time.monotonic() < deadline, now
            time.sleep(0.2)

    @contextmanager
    def _counted(self, name: str, allowed: int | None, bearable: float = _BUSY) -> Iterator[None]:
        self._load.silence()
        answered, lost, start = *self._load.counts(), time.monotonic()
        yield
        after = self._load.counts()
        seconds = time.monotonic() - start
        event = Event(name, seconds, after[0] - answered, after[1] - lost, allowed, self._load.silence(), bearable)
        self.events.append(event)
        self._tell(event.line())
