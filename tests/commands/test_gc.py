"""`wf gc`, and `wf runs pin`."""

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.harness import Project, job
from wf.backends.engine import find_engine
from wf.backends.images import BUILT_BY
from wf.cli import main
from wf.project import project_id

Capture = pytest.CaptureFixture[str]


@pytest.fixture(name="project")
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Three runs of one job, of which each left something else; without Docker."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wf.toml").touch()
    project = Project(tmp_path)
    for text in ("one", "two", "three"):
        project.run("a", a=job(outputs={"x": "volume"}, leaves={"x": text}, log="hello"))
    return project


def test_it_shows_what_goes_and_does_it_only_if_told(project: Project, capsys: Capture) -> None:
    """Where nobody can be asked, `--yes` tells."""
    assert main(["gc", "--keep-last", "1"]) == 0
    assert main(["gc", "--keep-last", "1", "--dry-run", "--yes"]) == 0
    assert len(project.store.history.runs()) == 3
    shown = "would remove\n  runs       1, 2  12 B\n  artifacts  2     6 B\nwould keep 1 run, 11 B\n"
    assert capsys.readouterr().out == f"{shown}nothing was removed: add --yes to do it\n{shown}"

    assert main(["gc", "--keep-last", "1", "--yes"]) == 0
    assert main(["gc"]) == 0

    assert capsys.readouterr().out == f"{shown}freed 18 B\nthere is nothing to remove\nkept: 1 run, 11 B\n"
    assert [run.id for run in project.store.history.runs()] == [3]


@pytest.mark.parametrize(("said", "left"), [("y", [3]), ("", [3, 2, 1]), ("no", [3, 2, 1])])
def test_it_asks_on_a_terminal(project: Project, monkeypatch: pytest.MonkeyPatch, said: str, left: list[int]) -> None:
    """Anything but yes is no."""
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _: said)

    assert main(["gc", "--keep-last", "1"]) == 0

    assert [run.id for run in project.store.history.runs()] == left


@pytest.mark.usefixtures("project")
def test_pinned_runs_are_marked_and_stay(capsys: Capture) -> None:
    """Until they are unpinned."""
    assert main(["runs", "pin", "1", "latest"]) == 0
    assert main(["runs", "-n", "2"]) == 0
    assert main(["gc", "--keep-last", "0", "--yes", "--json"]) == 0

    said, listed, freed = re.split(r"\n(?=run  |\{)", capsys.readouterr().out)
    assert said == "run 1 is pinned\nrun 3 is pinned"
    assert [line.rpartition(" ")[2] for line in listed.splitlines()[1:]] == ["pinned", "s"]
    removed = json.loads(freed)
    assert (removed["runs"], removed["freed"], removed["kept_runs"]) == ([2], 9, 2)
    assert main(["runs", "unpin", "1"]) == 0
    assert capsys.readouterr().out == "run 1 is not pinned\n"


@pytest.mark.usefixtures("project")
def test_a_size_that_cannot_be_reached_is_told(capsys: Capture) -> None:
    """The last run that succeeded stays."""
    assert main(["gc", "--max-size", "1B", "--dry-run"]) == 0

    assert capsys.readouterr().out.splitlines()[-1] == "datasets, models, pinned and last runs need more than 1 B"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--keep-last", "-1"], "argument --keep-last: `-1` is not a number of runs"),
        (["--keep-last", "some"], "argument --keep-last: `some` is not a number of runs"),
        (["--older-than", "30"], "argument --older-than: `30` is no age: write 30d, 12h or 2w"),
        (["--max-size", "much"], "argument --max-size: `much` is no size: write 20GB or 500MiB"),
    ],
)
def test_rules_that_mean_nothing(project: Project, capsys: Capture, words: list[str], said: str) -> None:
    """They remove nothing."""
    with pytest.raises(SystemExit):
        main(["gc", "--yes", *words])

    assert capsys.readouterr().err.splitlines()[-1] == f"wf gc: error: {said}"
    assert len(project.store.history.runs()) == 3


@pytest.fixture(name="left_in_docker")
def _left_in_docker(tmp_path: Path, base_image: str) -> Iterator[tuple[str, str, str]]:
    """A container and a volume of a run that no history names, and an image of a folder that has changed."""
    labels = {"wf": "1", "wf.project": project_id(tmp_path).removeprefix("p"), "wf.run": "7"}
    client = find_engine().connect()
    container = client.create_container(base_image, ["true"], labels=labels)["Id"]
    volume = client.create_volume("wf-test-gc", labels=labels)["Name"]
    other = client.create_container(base_image, ["true"], labels={**labels, "wf.project": "other"})["Id"]
    image = client.commit(container, "wf-test-gc", changes=f'LABEL {BUILT_BY}="{project_id(tmp_path)}"')["Id"]
    yield container, volume, image
    assert client.inspect_container(other)
    client.remove_container(other)
    for remove, name in (
        (client.remove_container, container),
        (client.remove_volume, volume),
        (client.remove_image, image),
    ):
        with contextlib.suppress(Exception):
            remove(name)
    client.close()


@pytest.mark.docker
def test_what_docker_has_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture, left_in_docker: tuple[str, str, str]
) -> None:
    """Of this project only, and of no run that goes on."""
    container, volume, image = left_in_docker
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wf.toml").touch()
    project = Project(tmp_path)
    seen = []

    def look(_: object) -> None:
        main(["gc", "--json"])
        seen.append(json.loads(capsys.readouterr().out))

    connection = project.store.history._connection
    project.run("a")
    connection.execute("UPDATE sqlite_sequence SET seq = 6 WHERE name = 'runs'")
    project.run("a", a=replace(job(), does=look))
    assert main(["gc", "--json", "--yes"]) == 0
    done = json.loads(capsys.readouterr().out)

    assert (seen[0]["containers"], seen[0]["volumes"]) == ([], [])
    assert (done["containers"], done["volumes"], done["images"]) == ([container], [volume], [image])
    assert main(["gc"]) == 0
    assert capsys.readouterr().out.startswith("there is nothing to remove\n")
