"""Who imports whom: the table in docs/architecture.md is the law, and this reads the imports."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.projects import REPOSITORY

_TEXT = (REPOSITORY / "docs" / "architecture.md").read_text()
LAYERS = re.findall(r"^\| (\d+) \| ([^|]+) \|", _TEXT, flags=re.MULTILINE)
LAYER = {name: int(number) for number, names in LAYERS for name in re.findall(r"`([a-z_.]+)`", names)}
"""Module or package of `wf` or `serving` -> the number of its layer."""
LAYERED = ("wf", "serving")
SOURCES = sorted(path for top in (*LAYERED, "steps") for path in (REPOSITORY / top).rglob("*.py"))
ONLY_HERE: dict[str, str | tuple[str, ...]] = {
    "docker": "wf/backends/",
    "keyring": "wf/vault.py",
    "sqlite3": "wf/store/",
    "yaml": "wf/source.py",
    "boto3": "wf/programs/s3_download.py",
    "comet_ml": "steps/tracking.py",
    "tensorflow": ("steps/recommender/", "serving/"),
    "tensorflow_serving": ("steps/recommender/", "serving/"),
    "tensorflow_recommenders": "steps/recommender/",
    "tf_keras": "steps/recommender/",
    "optuna": "steps/recommender/",
    "wf": "wf/",
    "steps": ("steps/", "wf/"),
    "serving": "serving/",
}


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _place(module: str) -> str | None:
    """The longest entry of the table that a module belongs to."""
    parts = module.split(".")
    names = (".".join(parts[:length]) for length in range(len(parts), 1, -1))
    return next((name for name in names if name in LAYER), None)


def _name(path: Path) -> str:
    return ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("path", [path for path in SOURCES if _name(path) not in LAYERED], ids=_name)
def test_modules_import_only_inner_ones(path: Path) -> None:
    """A module of wf or serving imports from its own package and from layers with a smaller number."""
    own = _place(_name(path))
    if own is None:
        assert not _name(path).startswith(LAYERED), f"{_name(path)} is missing in docs/architecture.md"
        return

    outer = {
        other for module in _imports(path) if (other := _place(module)) and other != own and LAYER[other] >= LAYER[own]
    }

    assert outer == set()


@pytest.mark.parametrize("library", ONLY_HERE)
def test_a_library_is_imported_in_one_place(library: str) -> None:
    """So that another one could take its place. Steps never import wf, and the server neither."""
    users = {
        str(path.relative_to(REPOSITORY))
        for path in SOURCES
        if any(module == library or module.startswith(f"{library}.") for module in _imports(path))
    }

    assert {user for user in users if not user.startswith(ONLY_HERE[library])} == set()


def test_the_table_names_only_what_is_there() -> None:
    """No module of the table has gone."""
    known = {_name(path) for path in SOURCES}

    assert {name for name in LAYER if name not in known} == set()
