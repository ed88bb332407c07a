"""`wf datasets` as JSON, and what it refuses. tests/test_datasets_document.py has what it prints for people."""

import json
from pathlib import Path
from typing import Any

import pytest

from wf.cli import main

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wf.toml").touch()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.csv").write_text("1,2")


def _json(capsys: Capture, *words: str) -> Any:
    assert main(["datasets", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_json_of_every_command(tmp_path: Path, capsys: Capture) -> None:
    """Plain data that says what is there now."""
    created = _json(capsys, "create", "ratings")
    version = _json(capsys, "import", "ratings", "mine", "-m", "first")
    tagged = _json(capsys, "tag", "ratings", "v1")
    aliased = _json(capsys, "alias", "dsr8k5qzn401lb5", "ratings")
    shown = _json(capsys, "show", "dsr8k5qzn401lb5")
    listed = _json(capsys, "list")
    exported = _json(capsys, "export", "ratings:v1", "out")
    doomed = _json(capsys, "delete", "ratings")
    untagged = _json(capsys, "tag", "ratings", "v1", "--remove")
    unaliased = _json(capsys, "alias", "dsr8k5qzn401lb5", "--remove")
    deleted = _json(capsys, "delete", "ratings", "--yes")

    same = {key: value for key, value in version.items() if key not in ("same_as", "tags")}
    assert same == {
        "dataset": "ratings", "version": same["version"], "digest": same["digest"], "bytes": 3, "files": 1,
        "created": same["created"], "run": None, "job": None, "origin": str(tmp_path / "mine"), "message": "first",
    }  # fmt: skip
    assert version["same_as"] == ""
    assert created["versions"] == []
    assert tagged == {**same, "tags": ["v1"]} == exported == shown["versions"][0]
    assert aliased == shown == listed[0]
    assert (shown["id"], shown["aliases"]) == (created["id"], ["dsr8k5qzn401lb5"])
    assert doomed == [tagged]
    assert untagged["versions"] == [{**same, "tags": []}]
    assert unaliased == {"removed": "dsr8k5qzn401lb5"}
    assert deleted == {"deleted": f"ratings:{same['version']}", "freed": 3}
    assert _json(capsys, "list") == []
    assert (tmp_path / "out" / "a.csv").read_text() == "1,2"


@pytest.mark.parametrize(
    ("words", "code", "printed"),
    [
        (
            ["show", "rating"],
            3,
            (
                "there is no dataset `rating` in this project\n"
                "  Did you mean `ratings`? If not, import it: `wf datasets import rating PATH`.\n"
            ),
        ),
        (["alias", "x"], 2, "an alias needs a dataset\n  `wf datasets alias ALIAS NAME`\n\n1 error\n"),
        (
            ["import", "x:v1", "mine"],
            2,
            (
                "`x:v1` cannot name a dataset\n"
                "  write `NAME` or `NAMESPACE/NAME`, of letters, digits, `.`, `-` and `_`\n\n1 error\n"
            ),
        ),
        (
            ["export", "ratings", "mine"],
            2,
            "`mine` is not an empty folder\n  name a folder that is new or empty\n\n1 error\n",
        ),
    ],
)
def test_refusals(capsys: Capture, words: list[str], code: int, printed: str) -> None:
    """What is wrong, and what to do, with the exit code of its kind."""
    main(["datasets", "create", "ratings"])
    if words[0] == "export":
        main(["datasets", "import", "ratings", "mine"])
    capsys.readouterr()

    assert main(["datasets", *words]) == code
    assert capsys.readouterr().err == f"error: {printed}"


def test_project_without_datasets(capsys: Capture) -> None:
    """The empty list says how to make one; before anything has a store, no command but those that fill it makes one."""
    assert main(["datasets", "list"]) == 2
    assert not Path(".wf").exists()
    main(["datasets", "create", "x"])
    main(["datasets", "delete", "x", "--yes"])
    capsys.readouterr()

    assert main(["datasets", "list"]) == 0
    assert capsys.readouterr().out == ("this project has no datasets yet: `wf datasets import NAME PATH` makes one\n")


def test_link_that_leads_out_is_named(capsys: Capture) -> None:
    """The import goes on without what it points to."""
    Path("mine/out").symlink_to("/etc")
    main(["datasets", "import", "ratings", "mine"])

    assert capsys.readouterr().out.splitlines()[1:] == ["  out is a link that leads out of mine: it stays a link"]
