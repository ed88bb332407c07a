"""Containers that hold a network for others to join, as making one is half of what a container costs.

A container with a network of its own, even `none`, makes the engine set up a namespace, which takes as long as all the
rest of a short task. One that joins another's (`container:ID`) does not. So a run keeps a few containers that only
sleep, and its tasks join them, never two at once: a holder's network is as much a task's own as if it were new. What
another task may have changed in it, the files that name hosts, is compared before the next one joins.

A holder is made for a task, which joins it, and only where enough tasks follow. The engine works at it while
the task's views are opened. It carries the labels of its run, is
removed with it, and is swept up like any other container.
"""

import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass

from wf.backends.containers import create, remove_container, start
from wf.backends.convert import HOST_FILES, Surroundings, to_holder_config
from wf.backends.engine import Engine, reporting
from wf.errors import EnvironmentProblem

WORTH_IT = 3
"""Tasks that must follow for each holder: to make and remove one takes about as long as three tasks save."""


class Holder:
    """A container that sleeps, made in the background."""

    def __init__(self, engine: Engine, around: Surroundings) -> None:
        self.network = around.network
        """Docker's network mode: `none` or `bridge`."""
        self.id = ""
        """Empty if there is no container."""
        self._engine = engine
        self._around = around
        self._host_files: tuple[str, ...] = ()
        """What its network looked like before anybody joined it."""
        self._maker = threading.Thread(target=self._make, name=f"holder of {around.network}", daemon=True)
        self._maker.start()

    def is_ready(self) -> bool:
        """Wait until it is made; whether it can be joined."""
        self._maker.join()
        return bool(self._host_files)

    def is_intact(self) -> bool:
        """Whether its network looks as it did at first."""
        try:
            with reporting("a holder does not answer"):
                return self.is_ready() and self._find_host_files() == self._host_files
        except EnvironmentProblem:
            return False

    def remove(self) -> None:
        """Remove its container, if there is one."""
        self._maker.join()
        if self.id:
            remove_container(self._engine, self.id)

    def _make(self) -> None:
        # The image may have no `sleep`: tasks have networks of their own then.
        with suppress(EnvironmentProblem), reporting("a holder could not start"):
            self.id = create(self._engine, to_holder_config(self._around))
            start(self._engine, self.id)
            self._host_files = self._find_host_files()

    def _find_host_files(self) -> tuple[str, ...]:
        """Size, time and mode of each file that all containers in a network share, as the engine writes them."""
        # Without the HEAD the engine would pack the files, which takes 100 times as long.
        asked = (
            self._engine.ask(f"/containers/{self.id}/archive", "HEAD", query={"path": path}) for path in HOST_FILES
        )
        return tuple(answer.headers["x-docker-container-path-stat"] for answer in asked)


@dataclass(slots=True)
class Place:
    """The network of one task: its own, or that of a holder which nobody else joins meanwhile."""

    network: str
    holder: Holder | None = None


class Holders:
    """The holders of one run. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free: dict[str, list[Holder]] = {}
        self._all: list[Holder] = []
        self._useful: Counter[str] = Counter()
        """Network -> its holders, but those that were forsaken."""
        self._tasks: Counter[str] = Counter()
        """Network -> tasks that run in one like it."""
        self._makes_more = True

    def enter(self, engine: Engine, around: Surroundings, *, to_come: int) -> Place:
        """A place for one task, until `leave`. Its holder may still be in the making.

        Args:
            engine: where the task will run.
            around: the task's surroundings; the image among them serves for a holder as well as any.
            to_come: how many tasks come after it in the run, at most.
        """
        network = around.network
        with self._lock:
            self._tasks[network] += 1
            if free := self._free.get(network):
                return Place(network, free.pop())
            useful = self._useful[network]
            if self._makes_more and useful < self._tasks[network] and to_come >= WORTH_IT * (useful + 1):
                self._useful[network] += 1
                self._all.append(Holder(engine, around))
                return Place(network, self._all[-1])
        return Place(network)

    def forsake(self, place: Place) -> None:
        """Turn the place into a network of its own, because its holder is of no use."""
        assert place.holder is not None, "a place without a holder"
        could_be_made = place.holder.is_ready()
        with self._lock:
            self._makes_more &= could_be_made
            self._useful[place.network] -= 1
            place.holder = None

    def leave(self, place: Place, *, untouched: bool) -> None:
        """A task has ended. `untouched` says that it could not change the files that come with its network."""
        if place.holder and not untouched and not place.holder.is_intact():
            self.forsake(place)
        with self._lock:
            self._tasks[place.network] -= 1
            if place.holder:
                self._free.setdefault(place.network, []).append(place.holder)

    def remove_all(self) -> None:
        """Remove every holder; nobody joins any more."""
        with self._lock:
            self._makes_more = False
        problems: list[EnvironmentProblem] = []
        removers = [threading.Thread(target=_remove, args=[each, problems]) for each in self._all]
        for remover in removers:
            remover.start()
        for remover in removers:
            remover.join()
        if problems:
            raise problems[0]


def _remove(holder: Holder, problems: list[EnvironmentProblem]) -> None:
    try:
        holder.remove()
    except EnvironmentProblem as problem:
        problems.append(problem)
