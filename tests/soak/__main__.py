"""Load on a deployment while everything happens to it: `make soak SECONDS=600`.

Ten swaps to a new version, and between them replicas and the proxy that are killed, a version that is broken, one that
is never ready, one that is slow and one that answers errors. What was lost is counted by what was going on.

Ends with 1 if a swap, or a version that went back before it had requests, has lost a request, if a killed replica has
cost more than what it was working on, if the wrong version serves, or if anything is left over.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests.deployments.lab import Lab, Load, ask, kill
from tests.projects import REPOSITORY, make_project
from wf.backends.engine import find_engine
from wf.deployments.spec import STRATEGIES, Deployment, Probe
from wf.errors import DeploymentFailed
from wf.settings import load_settings

SWAPS = 10
REPLICAS = 2
CLIENTS = 8
_RECOVERY_SECONDS = 90


@dataclass(frozen=True, slots=True)
class Event:
    """What happened to requests while something went on."""

    name: str
    seconds: float
    answered: int
    lost: int
    allowed: int | None
    """So many may be lost; None where nobody can say, and the number is only told."""

    @property
    def holds(self) -> bool:
        """Whether it is as it has to be."""
        return self.answered > 0 and (self.allowed is None or self.lost <= self.allowed)


class Soak:
    """One deployment under load."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._made = lab.create(replicas=REPLICAS, ANSWER="0")
        self._load = Load(self._made, CLIENTS)
        self.events: list[Event] = []

    def run(self, seconds: float) -> None:
        """All swaps, spread over the time, each followed by something bad."""
        bad = (
            self._kill_replica, self._broken, self._kill_proxy, self._never_ready, self._slow, self._errors,
        )  # fmt: skip
        start = time.monotonic()
        with self._load:
            for number in range(1, SWAPS + 1):
                self._swap(number)
                bad[(number - 1) % len(bad)](str(number))
                with self._counted("nothing", 0):
                    time.sleep(max(1.0, start + seconds * number / SWAPS - time.monotonic()))

    def _swap(self, number: int) -> None:
        strategy = STRATEGIES[number % len(STRATEGIES)]
        with self._counted(f"swap, {strategy}", 0):
            self._lab.update(self._lab.spec(REPLICAS, ANSWER=str(number)), strategy, watch=2)
        self._expect(str(number))

    def _kill_replica(self, answer: str) -> None:
        with self._counted("a replica killed", CLIENTS):
            kill(self._lab.deployments.get("it").replicas[0].id)
            self._await_recovery(lambda now: any(each.restarts for each in now.replicas))
        self._expect(answer)

    def _kill_proxy(self, answer: str) -> None:
        with self._counted("the proxy killed", None):
            kill(next(name for name in self._lab.containers() if "-proxy-" in name))
            self._await_recovery(lambda _: self._answers())
        self._expect(answer)

    def _broken(self, answer: str) -> None:
        self._goes_back("a broken version", 0, answer, BROKEN="1")

    def _never_ready(self, answer: str) -> None:
        self._goes_back("a version never ready", 0, answer, WAIT="600")

    def _errors(self, answer: str) -> None:
        self._goes_back("a version with errors, canary", None, answer, ERRORS="1")

    def _slow(self, answer: str) -> None:
        """Half a second for each answer loses nothing, on the way there and on the way back."""
        with self._counted("a slow version, there and back", 0):
            self._lab.update(self._lab.spec(REPLICAS, ANSWER="slow", SLOW="0.5"), "blue-green", watch=2)
            self._lab.deployments.rollback("it", by="soak")
        self._expect(answer)

    def _goes_back(self, name: str, allowed: int | None, answer: str, **env: str) -> None:
        spec = replace(self._lab.spec(REPLICAS, ANSWER="bad", **env), startup=Probe(period=1, failures=5))
        with self._counted(name, allowed):
            try:
                self._lab.update(spec, "canary", watch=10, percent=20)
            except DeploymentFailed:
                pass
            else:
                raise AssertionError(f"{name} was promoted")
        self._expect(answer)

    def _expect(self, answer: str) -> None:
        now = self._lab.deployments.get("it")
        assert (now.state, ask(now)) == ("serving", (200, answer)), now
        assert len(self._lab.containers()) == REPLICAS + 1, self._lab.containers()

    def _answers(self) -> bool:
        try:
            return ask(self._made)[0] == 200
        except OSError:
            return False

    def _await_recovery(self, happened: Callable[[Deployment], bool]) -> None:
        deadline = time.monotonic() + _RECOVERY_SECONDS
        while not (happened(now := self._lab.deployments.get("it")) and now.state == "serving"):
            assert time.monotonic() < deadline, now
            time.sleep(0.2)

    @contextmanager
    def _counted(self, name: str, allowed: int | None) -> Iterator[None]:
        answered, lost, start = *self._load.counts(), time.monotonic()
        yield
        after = self._load.counts()
        event = Event(name, time.monotonic() - start, after[0] - answered, after[1] - lost, allowed)
        self.events.append(event)
        print(_line(event), flush=True)


def main() -> int:
    """Run it in a project of its own; what it made is removed whatever happens."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_project(root, "jobs: {}")
        (root / "wf.toml").write_text((REPOSITORY / "wf.toml").read_text())
        lab = Lab(root, _base_image())
        try:
            soak = Soak(lab)
            soak.run(arguments.seconds)
            lab.deployments.delete("it", by="soak")
            left = [*lab.containers(), *lab.networks(), *(each.name for each in (root / ".wf/deployments").iterdir())]
        finally:
            lab.clean()
    wrong = [event.name for event in soak.events if not event.holds]
    total = sum(event.answered for event in soak.events)
    swaps = [event for event in soak.events if event.name.startswith("swap")]
    print(
        f"{total:,} answers; {sum(event.lost for event in swaps)} lost in {len(swaps)} swaps; "
        f"{sum(event.lost for event in soak.events)} lost in all; left over: {', '.join(left) or 'nothing'}"
    )
    if wrong:
        print(f"too many lost during: {', '.join(wrong)}")
    return 1 if wrong or left else 0


def _base_image() -> str:
    client = find_engine().connect()
    present = {tag for image in client.images() for tag in image["RepoTags"] or ()}
    return next(ref for ref in load_settings(REPOSITORY).docker.base_images if ref in present)


def _line(event: Event) -> str:
    allowed = "any" if event.allowed is None else str(event.allowed)
    return (
        f"{event.name:<32}{event.seconds:6.1f} s{event.answered:>9,} answered{event.lost:>5} lost (allowed: {allowed})"
    )


if __name__ == "__main__":
    sys.exit(main())
