"""A sample of what `make faults` does at length."""

import json
from pathlib import Path
from uuid import uuid4

import pytest

from tests.faults.project import Faulty
from tests.faults.rounds import Expected, Kill, kill_container, kill_wf, play
from wf.backends.engine import find_engine

SEED = 7


def test_wf_is_killed_while_processes_run(tmp_path: Path) -> None:
    """At any moment: what is resumed comes to the same, does nothing twice and leaves nothing."""
    expected = Expected.of(tmp_path / "reference", "process", "")

    played = [play(number, "process", SEED, tmp_path, "", expected, kill_wf) for number in range(2)]

    assert [str(each) for each in played if each.wrong] == []


@pytest.mark.docker
@pytest.mark.parametrize(("kind", "kill"), [("docker", kill_wf), ("container", kill_container)])
def test_something_is_killed_while_containers_run(kind: str, kill: Kill, tmp_path: Path, base_image: str) -> None:
    """The same with containers, which outlive their `wf`, and with `wf` outliving them."""
    expected = Expected.of(tmp_path / "reference", kind, base_image)

    played = play(0, kind, SEED, tmp_path, base_image, expected, kill)

    assert not played.wrong, str(played)


@pytest.mark.docker
def test_an_image_that_is_gone_is_missed_only_by_what_has_to_run(tmp_path: Path, base_image: str) -> None:
    """A job that had finished does not need its image any more; one that had not says what is missing."""
    client = find_engine().connect()
    gone = f"wf-faults-{uuid4().hex}:1"
    client.tag(base_image, *gone.split(":"))
    project = Faulty.make(tmp_path / "project", "docker", gone)
    flow = project.root / "flow.yaml"
    script = "test -e /storage/go && cat /inputs/one/file"
    jobs = json.loads(flow.read_text())["jobs"]
    last = {"uses": "script@v1", "with": {"image": base_image, "script": script}, "inputs": {"one": "A.outputs.x"}}
    flow.write_text(json.dumps({"jobs": {"A": jobs["A"], "Last": {**last, "needs": ["A"]}}}))
    run = ("run", "flow.yaml", "--output", "plain")
    assert project.wf(*run)[0] == 1
    client.remove_image(gone)
    (project.root / ".wf/storage/go").touch()

    code, told = project.wf("resume", "--output", "plain")

    assert code == 0, told
    assert project.starts() == {"A": 1}
    assert project.wf(*run, "--no-cache")[0] == 3
    client.close()
