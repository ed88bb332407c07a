"""`wf doctor`. The checks themselves are tested in tests/test_doctor.py."""

import json
from pathlib import Path

import pytest

from wf.cli import main


@pytest.fixture(autouse=True)
def _in_a_project_without_docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wf.toml").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")


def test_every_check_has_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """What is wrong comes with what to do about it."""
    assert main(["doctor"]) == 0

    lines = capsys.readouterr().out.splitlines()
    docker = next(line for line in lines if " docker " in line)
    assert docker.split(maxsplit=2)[0] == "warning"
    assert lines[lines.index(docker) + 1].split("-> ")[1].startswith("Start Docker, or set DOCKER_HOST")


def test_json_holds_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """For programs."""
    assert main(["doctor", "--json"]) == 0

    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)}
    assert checks["docker"]["state"] == "warning"
    assert {"project disk", "gpu", "ca bundle", "proxy", "python"} <= set(checks)


def test_the_backend_alone_is_one_word(capsys: pytest.CaptureFixture[str]) -> None:
    """For scripts such as the Makefile."""
    assert main(["doctor", "--backend"]) == 0
    assert capsys.readouterr().out == "process\n"


def test_a_broken_setting_is_shown_at_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """wf.toml is checked like a workflow."""
    (tmp_path / "wf.toml").write_text("[dokcer]\n")

    assert main(["doctor"]) == 2
    assert capsys.readouterr().err == (
        "error: unknown table `dokcer`\n"
        f" --> {tmp_path}/wf.toml:1:2\n"
        "  |\n"
        "1 | [dokcer]\n"
        "  |  ^^^^^^ known: docker, images, network, run\n"
        "\n"
        "1 error\n"
    )
