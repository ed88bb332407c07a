"""Networks that tasks join, against a real engine."""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.backends.tasks import Lab, make_launch, make_plan, make_task
from wf.backends.base import Exit
from wf.backends.convert import can_join
from wf.backends.docker import DockerBackend
from wf.backends.engine import find_engine
from wf.settings import Settings

NAMESPACE = "readlink /proc/self/ns/net"


class Row:
    """A plan of tasks that run one after the other."""

    def __init__(self, folder: Path, client: Any, image: str, length: int = 5) -> None:
        self.backend = DockerBackend(folder, Settings())
        self.lab = Lab(self.backend, folder)
        self._folder = folder
        self._client = client
        self._tasks = [make_task(image=image, step=False, id=f"job-{number}") for number in range(length)]
        self.backend.prepare(make_plan(folder, *self._tasks), self.lab.told.append)

    def run(self, number: int, script: str, **changes: Any) -> str:
        """Run one of the tasks; returns its log."""
        task = make_task("bash", "-c", script, image=self._tasks[number].image.ref, step=False, id=f"job-{number}")  # type: ignore[union-attr]
        launch = make_launch(self._folder / f"{number}-{time.monotonic_ns()}", task, **changes)
        log, end = self.lab.finish(self.backend.start(launch))
        assert end == Exit(0)
        return log.decode()

    def holders(self) -> list[str]:
        """The holders that run."""
        labels = [f"wf.project={self.backend._project}", "wf.holder"]
        return [each["Id"] for each in self._client.containers(filters={"label": labels})]


@pytest.fixture
def client() -> Iterator[Any]:
    """A connection to the engine."""
    with contextlib.closing(find_engine().connect()) as client:
        yield client


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
