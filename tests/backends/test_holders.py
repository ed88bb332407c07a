"""Networks that tasks join, against a real engine."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.backends.tasks import Lab, its_turn, make_launch, make_plan, make_task
from wf.backends.base import Exit, NotWantedError, Turn
from wf.backends.convert import Surroundings, can_join
from wf.backends.docker import DockerBackend
from wf.backends.engine import find_engine
from wf.backends.holders import Holder, Place
from wf.settings import Settings

NAMESPACE = "readlink /proc/self/ns/net"


class Row:
    """A plan of tasks that run one after the other."""

    def __init__(self, folder: Path, client: Any, image: str, length: int = 5) -> None:
        self.backend = DockerBackend(folder, Settings())
        self.lab = Lab(self.backend, folder)
        self._folder = folder
        self._client = client
        self.image = image
        self._tasks = [make_task(image=image, step=False, id=f"job-{number}") for number in range(length)]
        self.backend.prepare(make_plan(folder, *self._tasks), self.lab.told.append)

    def run(self, number: int, script: str, **changes: Any) -> str:
        """Run one of the tasks; returns its log."""
        task = make_task("bash", "-c", script, image=self._tasks[number].image.ref, step=False, id=f"job-{number}")  # type: ignore[union-attr]
        launch = make_launch(self._folder / f"{number}-{time.monotonic_ns()}", task, **changes)
        log, end = self.lab.finish(self.backend.start(launch, its_turn()))
        assert end == Exit(0)
        return log.decode()

    def surroundings(self) -> Surroundings:
        """Those of a task."""
        launch = make_launch(self._folder / "looked-at", self._tasks[0])
        return self.backend._surroundings(launch, find_engine())

    def holders(self) -> list[str]:
        """The holders that run."""
        labels = [f"wf.project={self.backend._project}", "wf.holder"]
        return [each["Id"] for each in self._client.containers(filters={"label": labels})]


@pytest.fixture
def make_row(tmp_path: Path, client: Any, base_image: str) -> Iterator[Callable[[int], Row]]:
    """Makes rows of tasks, and removes what they need at the end."""
    rows: list[Row] = []

    def make(length: int) -> Row:
        rows.append(Row(tmp_path, client, base_image, length))
        return rows[-1]

    yield make
    for row in rows:
        row.backend.teardown()
        assert row.holders() == []


@pytest.mark.docker
def test_tasks_in_a_row_join_one_network(make_row: Callable[[int], Row]) -> None:
    """It is made for the first of them, and goes at the end of the run."""
    row = make_row(5)
    first, second = (row.run(number, NAMESPACE) for number in range(2))
    assert first == second
    assert len(row.holders()) == 1


@pytest.mark.docker
def test_tasks_without_network_join_one_without(make_row: Callable[[int], Row]) -> None:
    """What has no network has none there either, and never joins what has one."""
    row = make_row(12)
    row.run(0, "true")
    row.run(1, "true", network=False)
    assert row.run(2, "ls /sys/class/net", network=False).split() == ["lo"]
    assert row.run(3, "ls /sys/class/net").split() == ["eth0", "lo"]
    assert len(row.holders()) == 2


@pytest.mark.docker
def test_no_task_sees_what_another_did_to_its_network(make_row: Callable[[int], Row]) -> None:
    """Names that a task gives to hosts are gone for the next: it does not join that network any more."""
    row = make_row(9)
    row.run(0, "true")
    row.run(1, "echo 10.9.8.7 elsewhere >> /etc/hosts")
    assert "elsewhere" not in row.run(2, "cat /etc/hosts")


@pytest.mark.docker
def test_a_short_plan_makes_no_holder(make_row: Callable[[int], Row]) -> None:
    """It would cost more than it saves."""
    row = make_row(3)
    row.run(0, "true")
    assert row.holders() == []


@pytest.mark.docker
def test_a_task_outlives_the_loss_of_its_holder(make_row: Callable[[int], Row], client: Any) -> None:
    """A holder that something else has removed is of no use, and of no harm."""
    row = make_row(5)
    row.run(0, "true")
    client.remove_container(row.holders()[0], force=True)
    assert row.run(1, "echo still here") == "still here\n"


@pytest.mark.docker
def test_holders_of_a_dead_run_are_swept_up(make_row: Callable[[int], Row]) -> None:
    """They carry the labels of their run like every container."""
    row = make_row(5)
    row.run(0, "true")
    assert row.backend.sweep([7]) == 1
    assert row.holders() == []


@pytest.mark.docker
def test_a_task_waits_for_the_network_of_the_one_that_it_follows(make_row: Callable[[int], Row]) -> None:
    """It joins the same holder, once the other one has left; if it was given up, the next one finds the holder free."""
    row = make_row(9)
    row.run(0, "true")
    engine, around, holders = find_engine(), row.surroundings(), row.backend._holders
    first = holders.enter(engine, around, to_come=8)
    second = holders.enter(engine, around, to_come=7, follows=first)
    assert second.holder is first.holder
    assert not holders.is_open(second)
    holders.leave(first, untouched=False, to_come=7)
    assert holders.is_open(second)
    given_up = holders.enter(engine, around, to_come=6, follows=second)
    holders.leave(given_up, untouched=False, to_come=6)
    holders.leave(second, untouched=False, to_come=6)
    assert row.run(1, "echo joins")
    assert len(row.holders()) == 1


@pytest.mark.docker
def test_a_task_that_comes_while_a_network_is_compared_waits_for_it(
    make_row: Callable[[int], Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    """That takes milliseconds, where a network of its own takes as long as all the rest; others find nobody leaving."""
    row = make_row(9)
    row.run(0, "true")
    engine, around, holders = find_engine(), row.surroundings(), row.backend._holders
    first = holders.enter(engine, around, to_come=8)
    compare = Holder.is_intact
    late: list[Place] = []

    def meanwhile(holder: Holder) -> bool:
        late.extend(holders.enter(engine, around, to_come=7 - number) for number in range(2))
        return compare(holder)

    monkeypatch.setattr(Holder, "is_intact", meanwhile)
    holder = first.holder
    holders.leave(first, untouched=False, to_come=7)

    second, third = late
    assert second.holder is holder
    assert holders.is_open(second)
    assert third.holder is not holder
    monkeypatch.undo()
    for place in late:
        holders.leave(place, untouched=False, to_come=5)


@pytest.mark.docker
def test_a_network_that_is_compared_is_waited_for(
    make_row: Callable[[int], Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it turns out to be of no use: then the task moves."""
    row = make_row(9)
    row.run(0, "true")
    engine, around, holders = find_engine(), row.surroundings(), row.backend._holders
    first = holders.enter(engine, around, to_come=8)
    entered, asked = threading.Event(), threading.Event()

    def slowly(_: Holder) -> bool:
        entered.set()
        asked.wait(60)
        return False

    monkeypatch.setattr(Holder, "is_intact", slowly)
    with ThreadPoolExecutor() as pool:
        leaving = pool.submit(holders.leave, first, untouched=False, to_come=7)
        entered.wait(60)
        second = holders.enter(engine, around, to_come=7)
        opening = pool.submit(holders.is_open, second)
        with pytest.raises(TimeoutError):
            opening.result(0.1)
        asked.set()
        assert not opening.result(60)
        leaving.result(60)
    holders.move(second)
    assert second.holder is None


@pytest.mark.docker
def test_a_task_that_starts_before_the_one_that_it_follows_has_ended_moves(
    tmp_path: Path, make_row: Callable[[int], Row]
) -> None:
    """Never are two in one network: it takes a holder that is free, or has one of its own."""
    row = make_row(9)
    first = row.run(0, NAMESPACE)
    sleeping = make_launch(tmp_path / "sleeps", make_task("sleep", "60", image=row.image, step=False, id="job-1"))
    goes_on = row.backend.start(sleeping, its_turn())
    turn = Turn(goes_on)
    turn.give()
    following = make_launch(
        tmp_path / "follows", make_task("sh", "-c", NAMESPACE, image=row.image, step=False, id="job-2")
    )
    log, _ = row.lab.finish(row.backend.start(following, turn))
    row.backend.stop(goes_on, kill=True)
    row.lab.finish(goes_on)

    assert log.decode() != first
    assert row.run(3, NAMESPACE) == first


@pytest.mark.docker
def test_a_holder_goes_with_the_last_task(make_row: Callable[[int], Row]) -> None:
    """Nobody is to come who could join it, so it is removed while others still run."""
    row = make_row(4)
    for number in range(4):
        row.run(number, "true")
    for _ in range(100):
        if not row.holders():
            return
        time.sleep(0.1)
    raise AssertionError("the holder is still there")


@pytest.mark.docker
def test_a_task_that_is_given_up_before_its_turn_leaves_nothing(
    tmp_path: Path, make_row: Callable[[int], Row], client: Any
) -> None:
    """Its container was created, and never started."""
    row, turn = make_row(1), Turn()
    launch = make_launch(tmp_path / "waits", make_task("true", image=row.image, step=False, id="job-0"))
    labels = {"label": [f"wf.project={row.backend._project}", "wf.job=job-0"]}
    with ThreadPoolExecutor() as pool:
        start = pool.submit(row.backend.start, launch, turn)
        while not (created := client.containers(all=True, filters=labels)):
            time.sleep(0.05)
        assert created[0]["State"] == "created"
        turn.give_up()
        with pytest.raises(NotWantedError):
            start.result()
    assert client.containers(all=True, filters=labels) == []


@pytest.mark.parametrize(
    "change",
    [
        {"Hostname": "me"},
        {"ExposedPorts": {"80/tcp": {}}},
        {"HostConfig": {"NetworkMode": "bridge", "PortBindings": {"80/tcp": [{}]}}},
        {"HostConfig": {"NetworkMode": "bridge", "ExtraHosts": ["a:1.2.3.4"]}},
        {"HostConfig": {"NetworkMode": "host"}},
        {"HostConfig": {"NetworkMode": "mine"}},
    ],
)
def test_what_needs_a_network_of_its_own_joins_none(change: dict[str, Any]) -> None:
    """Names, ports and other networks belong to one container."""
    plain = {"HostConfig": {"NetworkMode": "bridge"}}
    assert can_join(plain)
    assert not can_join({**plain, **change})
