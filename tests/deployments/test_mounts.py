"""Where a model appears in a container."""

from pathlib import Path, PurePosixPath

import pytest

from wf.deployments.mounts import mount, serving_folder

BASE = PurePosixPath("/models/net")


@pytest.mark.parametrize(
    ("env", "command", "folder"),
    [
        ({}, [], None),
        ({"MODEL_BASE_PATH": "/models", "MODEL_NAME": "net"}, [], "/models/net"),
        ({"MODEL_BASE_PATH": "/models/"}, [], "/models/model"),
        ({"MODEL_BASE_PATH": "/models"}, ["--port=1", "--model_base_path=//srv/net/"], "/srv/net"),
    ],
)
def test_a_server_says_where_it_looks(env: dict[str, str], command: list[str], folder: str | None) -> None:
    """By its variables, or by its arguments, which win."""
    assert serving_folder(env, command) == (PurePosixPath(folder) if folder else None)


@pytest.mark.parametrize(
    ("holds", "path", "serving", "shown"),
    [
        (["saved_model.pb"], "/models/net", BASE, ("", "/models/net/1")),
        (["saved_model.pb"], "/models", BASE, ("", "/models/net/1")),
        (["net/saved_model.pb"], "/models", BASE, ("net", "/models/net/1")),
        (["1/saved_model.pb", "2/saved_model.pb"], "/models/net/", BASE, ("", "/models/net")),
        (["saved_model.pb", "2/saved_model.pb"], "/models/net", BASE, ("", "/models/net")),
        (["saved_model.pb"], "/elsewhere", BASE, ("", "/elsewhere")),
        (["saved_model.pb"], "/models/net", None, ("", "/models/net")),
    ],
    ids=["top", "top, shown at the base", "named", "versions", "both", "elsewhere", "no model server"],
)
def test_a_model_becomes_version_1_where_a_server_looks_for_versions(
    holds: list[str], path: str, serving: PurePosixPath | None, shown: tuple[str, str], tmp_path: Path
) -> None:
    """And stays as it is everywhere else."""
    for name in holds:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    assert mount(tmp_path, path, serving) == (tmp_path / shown[0], shown[1])
