"""Tests of `steps.recommender.warm_start`: beginning with an earlier model."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from steps.evaluate import main as evaluate
from steps.recommender import models
from steps.recommender.config import TrainingConfig
from steps.recommender.features import TitleTable
from steps.recommender.models import Basis, build_model
from steps.recommender.vocabulary import Vocabulary
from steps.recommender.warm_start import carry_over
from steps.train import main
from tests.steps.conftest import SMALL_MODEL
from tests.steps.recommender.test_models import SCALE
from tests.steps.synthetic_ratings import ratings, write_split

BEFORE = Vocabulary(users=("b", "d"), titles=("Star One", "Star Two", "Star Wars"))
NOW = Vocabulary(users=("a", "b", "c", "d"), titles=("Alien", "Star One", "Star Two", "Star Wars", "Wars"))


def model_of(vocabulary: Vocabulary, config: TrainingConfig) -> Any:
    """A model of that vocabulary, after the same ratings by b and d."""
    frame = pl.DataFrame(
        {
            "user_id": ["b", "b", "d"],
            "title": ["Star One", "Star Two", "Star Wars"],
            "timestamp": [10, 20, 30],
            "rating": [5.0, 1.0, 4.0],
            "item_id": ["1", "2", "3"],
        }
    )
    rows = {
        "user": vocabulary.user_rows(frame["user_id"]),
        "title": vocabulary.title_rows(frame["title"]),
        "rating": frame["rating"].to_numpy().astype(np.float32),
        "timestamp": frame["timestamp"].to_numpy(),
    }
    titles = TitleTable.of(frame, None, vocabulary)
    return build_model(config, Basis(vocabulary, SCALE, 3.5, titles, rows))


def asked(vocabulary: Vocabulary) -> dict[str, Any]:
    """The same requests by rows of that vocabulary; two users and a title are new."""
    return {
        "user": vocabulary.user_rows(pl.Series(["b", "d", "a", "c", "b", "d"])),
        "title": vocabulary.title_rows(pl.Series(["Star One", "Star Wars", "Star Two", "Alien", "Wars", "Star One"])),
        "timestamp": np.full(6, 40, np.int64),
    }


@pytest.mark.parametrize("name", models.MODELS)
def test_a_grown_model_answers_as_before(name: str) -> None:
    """Before it learns anything, the known are who they were and the new are as the unknown."""
    features = {"features": "words,year"} if name in ("ranking", "dcn") else {}
    config = TrainingConfig.model_validate({"model": name, "embedding_size": 4, "layers": (8,), "seed": 3, **features})
    earlier, grown = model_of(BEFORE, config), model_of(NOW, config.model_copy(update={"seed": 4}))
    random = np.random.default_rng(5)
    earlier.set_weights([value + random.normal(0, 0.3, value.shape) for value in earlier.get_weights()])

    carry_over(earlier, BEFORE, grown, NOW)

    assert grown.predict_ratings(asked(NOW)) == pytest.approx(earlier.predict_ratings(asked(BEFORE)), abs=1e-5)


@pytest.fixture(name="grown", scope="module")
def _grown(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The split some time later, with ratings by people and of titles that the earlier model had not seen."""
    folder = tmp_path_factory.mktemp("grown")
    write_split(folder / "split")
    later = [
        ratings(rows, seed=seed).with_columns(pl.col("timestamp") + 1_000_000 * seed)
        for rows, seed in ((300, 7), (200, 8), (200, 9))
    ]
    train = pl.concat([pl.read_parquet(folder / "split" / "train.parquet"), later[0]])
    for name, part in zip(("train", "validation", "test"), (train, *later[1:]), strict=True):
        part.write_parquet(folder / "split" / f"{name}.parquet")
    shutil.copytree(inputs / "model", folder / "earlier")
    return folder


def train(folder: Path, outputs: Path, *flags: str) -> int:
    """Run the step; returns its exit code."""
    folders = [f"--inputs-dir={folder}", f"--outputs-dir={outputs}", f"--state-dir={outputs / 'state'}"]
    return main([*SMALL_MODEL, *folders, "--tracking=off", *flags])


def errors(outputs: Path) -> list[float]:
    """The validation RMSE of every epoch."""
    return [record["validation_rmse"] for record in json.loads((outputs / "model" / "history.json").read_text())]


@pytest.mark.parametrize("rows", ["all", "new"])
def test_a_warm_start_needs_fewer_epochs(
    rows: str, grown: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In two epochs it is better than a training from scratch in four, also when it learns from new rows only."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    shutil.copytree(grown / "split", scratch / "split")
    assert train(scratch, scratch) == 0
    capsys.readouterr()
    assert train(grown, tmp_path / "warm", "--epochs=2", f"--learn-from={rows}") == 0

    assert min(errors(tmp_path / "warm")) < min(errors(scratch))
    count = {"all": len(pl.read_parquet(grown / "split" / "train.parquet")), "new": 300}[rows]
    assert f"beginning with an earlier model, learning from {count} rows" in capsys.readouterr().out


def test_a_model_that_may_have_seen_the_judged_rows_is_pointed_out(
    inputs: Path, grown: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Begun with a model of the same time as what is judged, the report warns; of an earlier time, it does not."""
    for folder in (tmp_path / "late", tmp_path / "early"):
        shutil.copytree(grown, folder)
    shutil.rmtree(tmp_path / "late" / "split")
    shutil.copytree(inputs / "split", tmp_path / "late" / "split")
    said = {}
    for name in ("late", "early"):
        folder = tmp_path / name
        assert train(folder, folder, "--epochs=1") == 0
        assert evaluate([f"--inputs-dir={folder}", f"--outputs-dir={folder}", "--tracking=off"]) == 0
        said[name] = "the model began with an earlier one that learned from ratings as late" in capsys.readouterr().out

    assert said == {"late": True, "early": False}


@pytest.mark.parametrize(
    ("flag", "name", "before", "now"),
    [("--model=mf", "model", "ranking", "mf"), ("--layers=16", "layers", "16,8", "16")],
)
def test_another_kind_of_model_is_refused(
    flag: str, name: str, before: str, now: str, grown: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Weights that mean something else are no beginning."""
    assert train(grown, tmp_path, flag) == 1

    assert capsys.readouterr().err == (
        f"error: the earlier model was trained with {name} {before}, and this training has {now}: set {name} to "
        f"{before}, or begin without an earlier model\n"
    )


def test_nothing_new_is_refused(inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Learning from new rows only needs some, and an earlier model after which they are new."""
    shutil.copytree(inputs / "split", tmp_path / "split")
    assert train(tmp_path, tmp_path, "--learn-from=new") == 1
    shutil.copytree(inputs / "model", tmp_path / "earlier")
    assert train(tmp_path, tmp_path, "--learn-from=new") == 1

    assert capsys.readouterr().err == (
        "error: learn_from is new, but there is no earlier model: give one as the input `earlier`\n"
        "error: no training row is newer than those that the earlier model learned from: there is nothing new\n"
    )
