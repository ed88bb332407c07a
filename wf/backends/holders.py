"""Containers that hold a network for others to join, as making one is half of what a container costs.

A container with a network of its own, even `none`, makes the engine set up a namespace, which takes as long as all the
rest of a short task. One that joins another's (`container:ID`) does not. So a run keeps a few containers that only
sleep, and its tasks join them, never two at once: a holder's network is as much a task's own as if it were new. What
another task may have changed in it, the files that name hosts, is compared before the next one joins.

A holder is made in the background while the first task runs in a network of its own, and only where enough tasks
follow. It carries the labels of its run, is removed with it, and is swept up like any other container.
"""

import threading
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from wf.backends.convert import HOST_FILES, Surroundings, to_holder_config
from wf.backends.engine import remove_container, reporting
from wf.errors import EnvironmentProblem

WORTH_IT = 3
"""Tasks that must follow for each holder: to make and remove one takes about as long as three tasks save."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A container that sleeps, and what its network looked like before anybody joined it."""

    id: str
    network: str
    """Docker's network mode: `none` or `bridge`."""
    host_files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """The network of one task: its own, or that of a holder which nobody else joins meanwhile."""

    network: str
    holder: Holder | None = None


class Holders:
    """The holders of one run. Any thread may use it; `connect` makes a client of the engine for one thread."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        self._connect = connect
        self._lock = threading.Lock()
        self._free: dict[str, list[Holder]] = {}
        self._made: Counter[str] = Counter()
        """Network -> its holders, those that are being made too."""
        self._tasks: Counter[str] = Counter()
        """Network -> tasks that run in one like it."""
        self._makers: list[threading.Thread] = []
        self._ids: set[str] = set()
        self._makes_more = True

    def enter(self, around: Surroundings, *, to_come: int) -> Place:
        """A place for one task, until `leave`.

        Args:
            around: the task's surroundings; the image among them serves for a holder as well as any.
            to_come: how many tasks come after it in the run, at most.
        """
        network = around.network
        with self._lock:
            self._tasks[network] += 1
            if free := self._free.get(network):
                return Place(network, free.pop())
            made = self._made[network]
            if self._makes_more and made < self._tasks[network] and to_come >= WORTH_IT * (made + 1):
                self._made[network] += 1
                maker = threading.Thread(target=self._make, args=[around], name=f"holder of {network}", daemon=True)
                self._makers.append(maker)
                maker.start()
        return Place(network)

    def forsake(self, place: Place) -> Place:
        """The place with a network of its own, because its holder is of no use."""
        with self._lock:
            self._made[place.network] -= 1
        return Place(place.network)

    def leave(self, client: Any, place: Place, *, untouched: bool) -> None:
        """A task has ended. `untouched` says that it could not change the files that come with its network."""
        if place.holder and not untouched and not self._is_intact(client, place.holder):
            place = self.forsake(place)
        with self._lock:
            self._tasks[place.network] -= 1
            if place.holder:
                self._free.setdefault(place.network, []).append(place.holder)

    def remove_all(self) -> None:
        """Remove every holder; nobody joins any more."""
        with self._lock:
            self._makes_more = False
        for maker in self._makers:
            maker.join()
        problems: list[EnvironmentProblem] = []
        removers = [threading.Thread(target=self._remove, args=[each, problems]) for each in self._ids]
        for remover in removers:
            remover.start()
        for remover in removers:
            remover.join()
        if problems:
            raise problems[0]

    def _make(self, around: Surroundings) -> None:
        try:
            with closing(self._connect()) as client, reporting("a holder could not start"):
                created = client.create_container_from_config(to_holder_config(around))["Id"]
                self._ids.add(created)
                client.start(created)
                holder = Holder(created, around.network, _host_files(client, created))
        except EnvironmentProblem:
            # The image may have no `sleep`: tasks have networks of their own then, as before.
            self._makes_more = False
            return
        with self._lock:
            self._free.setdefault(around.network, []).append(holder)

    def _remove(self, container: str, problems: list[EnvironmentProblem]) -> None:
        try:
            with closing(self._connect()) as client:
                remove_container(client, container)
        except EnvironmentProblem as problem:
            problems.append(problem)

    @staticmethod
    def _is_intact(client: Any, holder: Holder) -> bool:
        try:
            with reporting("a holder does not answer"):
                return _host_files(client, holder.id) == holder.host_files
        except EnvironmentProblem:
            return False


def _host_files(client: Any, container: str) -> tuple[str, ...]:
    """Size, time and mode of each file that all containers in a network share, as the engine writes them."""
    # The SDK only has the GET of this, for which the engine packs the file: that takes 100 times as long.
    url = f"{client.base_url}/v{client.api_version}/containers/{container}/archive"
    seen = []
    for path in HOST_FILES:
        response = client.head(url, params={"path": path})
        response.raise_for_status()
        seen.append(response.headers["X-Docker-Container-Path-Stat"])
    return tuple(seen)
