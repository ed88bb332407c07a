"""`wf.store.models`: content of the store under an id."""

import json
import re
from pathlib import Path

import pytest

from wf.errors import EnvironmentProblem
from wf.store import Store
from wf.store.models import METADATA, read_metadata


@pytest.fixture(name="store")
def _store(tmp_path: Path) -> Store:
    (tmp_path / "project").mkdir()
    store = Store.open(tmp_path / "project")
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "saved_model.pb").write_text("network")
    (tmp_path / "saved" / METADATA).write_text('{"classes": 10}')
    store.datasets.import_path("rankings", tmp_path / "saved")
    return store


def test_registered_model(store: Store) -> None:
    """It refers to the version that was the latest, which is not copied, and keeps what its folder says of it."""
    version = store.datasets.find("rankings")

    model = store.models.create("ranker", "ONNX", "rankings")

    assert re.fullmatch(r"mo[a-z0-9]{12}", model.id)
    assert (model.name, model.type, model.dataset, model.digest) == ("ranker", "ONNX", version.ref, version.digest)
    assert (model.bytes, model.files, model.metadata) == (version.bytes, 2, {"classes": 10})
    assert (model.run, model.job) == (None, None)
    assert json.loads(json.dumps(model.to_json()))["metadata"] == {"classes": 10}
    assert {each.stem for each in store.layout.artifacts.glob("*/*")} == {version.digest}


def test_found_by_id_or_as_the_newest_of_its_name(store: Store) -> None:
    """An id comes before a name that looks like it."""
    first = store.models.create("ranker", "Custom", "rankings")
    second = store.models.create("ranker", "Custom", "rankings")
    store.models.create(first.id, "Custom", "rankings")

    assert store.models.find("ranker") == second
    assert store.models.find(first.id) == first
    assert [each.name for each in store.models.all()] == [first.id, "ranker", "ranker"]


def test_unknown_model(store: Store) -> None:
    """The error names the one that was probably meant, or the command that lists them."""
    store.models.create("ranker", "Custom", "rankings")

    with pytest.raises(EnvironmentProblem) as near:
        store.models.find("ranke")
    with pytest.raises(EnvironmentProblem) as far:
        store.models.find("mnist")

    assert (str(near.value), near.value.hint) == (
        "there is no model `ranke` in this project",
        "Did you mean `ranker`?",
    )
    assert far.value.hint == "`wf models list` shows those that there are."


def test_the_model_outlives_its_dataset(store: Store) -> None:
    """Its content stays until nothing refers to it."""
    model = store.models.create("ranker", "Custom", "rankings")

    assert store.datasets.delete("rankings") == ()
    assert store.models.find("ranker") == model
    assert [each.digest for each in store.models.delete("ranker")] == [model.digest]
    assert list(store.layout.artifacts.glob("*/*")) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[1]", "it does not hold an object"),
        ("{", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ("1" * (1 << 21), "it has more than 1 MiB"),
    ],
)
def test_metadata_that_cannot_be_used(tmp_path: Path, text: str, problem: str) -> None:
    """It is left out, and the reason is told."""
    (tmp_path / METADATA).write_text(text)

    assert read_metadata(tmp_path) == ({}, f"ignored {METADATA}: {problem}")


def test_metadata_behind_a_link_is_not_read(tmp_path: Path) -> None:
    """A link may lead to anything of this machine."""
    (tmp_path / "elsewhere.json").write_text('{"a": 1}')
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / METADATA).symlink_to(tmp_path / "elsewhere.json")

    assert read_metadata(tmp_path / "model") == ({}, "")
