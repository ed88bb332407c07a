"""Containers that hold a network for others to join, as making one is half of what a container costs.

A container with a network of its own, even `none`, makes the engine set up a namespace, which takes as long as all the
rest of a short task. One that joins another's (`container:ID`) does not. So a run keeps a few containers that only
sleep, and its tasks join them, never two at once: a holder's network is as much a task's own as if it were new. What
another task may have changed in it, the files that name hosts, is compared before the next one joins.

A holder is made for a task, which joins it, and only where enough tasks follow. The engine works at it while
the task's views are opened and its container is created. It carries the labels of its run, is
removed when no task is to come, and is swept up like any other container.

A task that still waits for its turn takes the network of the one that it follows, and one that comes while a network is
compared takes that: to wait for it takes milliseconds. If a task starts before the other has left, or that network has
changed meanwhile, it moves to another one.
"""

import threading
from collections import Counter
from contextlib import suppress

from msgspec import Struct, field

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
        self._created = threading.Event()
        self._host_files: tuple[str, ...] = ()
        """What its network looked like before anybody joined it."""
        self._remover: threading.Thread | None = None
        self._problem: EnvironmentProblem | None = None
        """Why it could not be removed."""
        self._maker = threading.Thread(target=self._make, name=f"holder of {around.network}", daemon=True)
        self._maker.start()

    def is_created(self) -> bool:
        """Wait until there is a container, which may not run yet; whether there is one."""
        self._created.wait()
        return bool(self.id)

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

    def begin_removal(self) -> None:
        """Have its container removed in the background, if there is one and that has not begun."""
        if self._remover is None:
            self._remover = threading.Thread(target=self._remove, name=f"removal of {self.network}", daemon=True)
            self._remover.start()

    def await_removal(self) -> EnvironmentProblem | None:
        """Wait for the end of a removal that has begun; returns what went wrong."""
        assert self._remover is not None, "a removal that has not begun"
        self._remover.join()
        return self._problem

    def _make(self) -> None:
        # The image may have no `sleep`: tasks have networks of their own then.
        with suppress(EnvironmentProblem), reporting("a holder could not start"):
            try:
                self.id = create(self._engine, to_holder_config(self._around))
            finally:
                self._created.set()
            start(self._engine, self.id)
            self._host_files = self._find_host_files()

    def _remove(self) -> None:
        self._maker.join()
        try:
            if self.id:
                remove_container(self._engine, self.id)
        except EnvironmentProblem as problem:
            self._problem = problem

    def _find_host_files(self) -> tuple[str, ...]:
        """Size, time and mode of each file that all containers in a network share, as the engine writes them."""
        # Without the HEAD the engine would pack the files, which takes 100 times as long.
        asked = (
            self._engine.ask(f"/containers/{self.id}/archive", "HEAD", query={"path": path}) for path in HOST_FILES
        )
        return tuple(answer.headers["x-docker-container-path-stat"] for answer in asked)


class Place(Struct, eq=False):
    """The network of one task: its own, or that of a holder which nobody else joins meanwhile."""

    network: str
    holder: Holder | None = None
    is_free: threading.Event = field(default_factory=threading.Event)
    """Whether nobody else is in it any more."""
    ahead: "Place | None" = None
    """Whose holder it takes over."""
    heir: "Place | None" = None
    """The place of who joins the same holder next, if that does not move."""

    @property
    def has_heir(self) -> bool:
        """Whether somebody still waits for its holder."""
        return self.heir is not None and self.holder is not None and self.heir.holder is self.holder


class Holders:
    """The holders of one run. Any thread may use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free: dict[str, list[Holder]] = {}
        self._all: list[Holder] = []
        self._useful: set[Holder] = set()
        """All but those that were forsaken."""
        self._leaving: list[Place] = []
        """Places of tasks that have ended, while their holders are looked at."""
        self._tasks: Counter[str] = Counter()
        """Network -> tasks that run in one like it."""
        self._makes_more = True

    def enter(self, engine: Engine, around: Surroundings, *, to_come: int, follows: Place | None = None) -> Place:
        """A place for one task, until `leave`. Its holder may still be in the making.

        Args:
            engine: where the task will run.
            around: the task's surroundings; the image among them serves for a holder as well as any.
            to_come: how many other tasks of the run may still enter.
            follows: the place of a task that is likely to leave it before this one starts.
        """
        place = Place(around.network)
        with self._lock:
            self._tasks[place.network] += 1
            if free := self._free.get(place.network):
                place.holder = free.pop()
            elif ahead := self._find_ahead(place.network, follows):
                ahead.heir, place.ahead, place.holder = place, ahead, ahead.holder
                return place
            elif self._is_worth_it(place.network, to_come):
                place.holder = Holder(engine, around)
                self._all.append(place.holder)
                self._useful.add(place.holder)
            if not to_come:
                self._remove_free()
            place.is_free.set()
        return place

    def is_open(self, place: Place) -> bool:
        """Whether the task can join the holder of its place, which may have to be made, or looked at, first."""
        with self._lock:
            is_next = place.ahead in self._leaving
        if is_next:
            place.is_free.wait()
        return (
            place.is_free.is_set()
            and place.holder is not None
            and place.holder.is_ready()
            and place.holder in self._useful
        )

    def move(self, place: Place) -> None:
        """Give the place another holder that is free, or a network of its own: its holder is of no use, or not yet."""
        assert place.holder is not None, "a place without a holder"
        could_be_made = place.holder.is_ready()
        with self._lock:
            self._makes_more &= could_be_made
            if place.is_free.is_set():
                self._useful.discard(place.holder)
            free = self._free.get(place.network)
            place.holder = free.pop() if free else None
            place.is_free.set()

    def leave(self, place: Place, *, untouched: bool, to_come: int) -> None:
        """A task has ended. `untouched` says that it could not change the files that come with its network.

        Where no task is to come, its holder goes at once, while others still run.
        """
        with self._lock:
            self._tasks[place.network] -= 1
            place.ahead = None
            holder = place.holder if place.is_free.is_set() else None
            if holder is None:
                place.holder = None
                return
            self._leaving.append(place)
            is_wanted = place.has_heir or to_come > 0
        is_useful = untouched or (is_wanted and holder.is_intact())
        with self._lock:
            self._leaving.remove(place)
            heir = place.heir if place.has_heir else None
            place.holder = None
            if not is_useful:
                self._useful.discard(holder)
            if heir:
                heir.is_free.set()
            elif to_come and holder in self._useful:
                self._free.setdefault(holder.network, []).append(holder)
            elif not to_come:
                holder.begin_removal()

    def remove_all(self) -> None:
        """Remove every holder; nobody joins any more."""
        with self._lock:
            self._makes_more = False
            for holder in self._all:
                holder.begin_removal()
        problems = [problem for holder in self._all if (problem := holder.await_removal())]
        if problems:
            raise problems[0]

    def _find_ahead(self, network: str, follows: Place | None) -> Place | None:
        """Whose holder a task can wait for: that of the one that it follows, or of one that is leaving."""
        for place in (follows, *self._leaving):
            if place and place.network == network and place.holder and not place.has_heir:
                return place
        return None

    def _is_worth_it(self, network: str, to_come: int) -> bool:
        useful = sum(holder.network == network for holder in self._useful)
        return self._makes_more and useful < self._tasks[network] and to_come >= WORTH_IT * (useful + 1)

    def _remove_free(self) -> None:
        for free in self._free.values():
            while free:
                free.pop().begin_removal()
