"""The gate compares two models on the same rows, and lets the new one pass unless it is worse."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import tensorflow as tf

from steps import gate
from wf.control.control import API, LOOPBACK, Control
from wf.control.http import Request, Response, error_response, json_response


class _Constant(tf.Module):  # type: ignore[misc]
    """Rates everything the same."""

    def __init__(self, rating: float) -> None:
        super().__init__()
        self.rating = rating

    @tf.function(  # type: ignore[untyped-decorator]
        input_signature=[
            tf.TensorSpec([None], tf.string, "user_id"),
            tf.TensorSpec([None], tf.string, "movie_title"),
            tf.TensorSpec([None], tf.int64, "timestamp"),
        ]
    )
    def rate(self, user_id: tf.Tensor, movie_title: tf.Tensor, timestamp: tf.Tensor) -> dict[str, tf.Tensor]:
        """A rating for each row."""
        del movie_title, timestamp
        return {"rating": tf.fill(tf.shape(user_id), self.rating)}


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """A model that rates everything 3, and rows of many users whose ratings are 4."""
    rows = pl.DataFrame(
        {
            "user_id": [str(number % 40) for number in range(400)],
            "item_id": ["1"] * 400,
            "title": ["T"] * 400,
            "rating": pl.Series([4.0] * 399 + [5.0], dtype=pl.Float32),
            "timestamp": list(range(400)),
        }
    )
    split, model = tmp_path / "inputs" / "split", tmp_path / "inputs" / "model"
    split.mkdir(parents=True)
    for part in ("train", "validation", "test"):
        rows.write_parquet(split / f"{part}.parquet")
    (split / "dataset.json").write_text('{"name": "made up", "rating_min": 1, "rating_max": 5}')
    constant = _Constant(3.0)
    tf.saved_model.save(constant, str(model), signatures={"serving_default": constant.rate})
    taken = {"user_id": "string", "movie_title": "string", "timestamp": "int64"}
    (model / "export.json").write_text(json.dumps({"signatures": {"serving_default": {"inputs": taken}}}))
    return tmp_path / "inputs"


@pytest.fixture(name="serving")
def _serving(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """What the deployment rates everything; nothing serves while the list is empty."""
    rating: list[float] = []

    def handle(request: Request) -> Response:
        if not rating:
            return error_response(404, "there is no deployment")
        if request.method == "GET":
            return json_response({"revision": 7, "replicas": [{"ready": True}]})
        asked: Any = request.json()
        return json_response({"ratings": rating * len(asked["rows"])})

    control = Control(1, ["Gate"], [handle], lambda: LOOPBACK)
    monkeypatch.setenv(API, control.environment("Gate", "p1")[API])
    yield rating
    control.close()


def decide(inputs: Path, *words: str) -> tuple[int, dict[str, Any]]:
    """The exit code of the step, and its decision."""
    outputs = inputs.parent / "outputs"
    code = gate.main([*words, "--inputs-dir", str(inputs), "--outputs-dir", str(outputs)])
    return code, json.loads((outputs / "decision" / "decision.json").read_text())


def test_the_first_model_passes(inputs: Path, serving: list[float]) -> None:
    """There is nothing that it could be worse than."""
    assert not serving
    code, decision = decide(inputs)

    assert (code, decision["why"]) == (0, "nothing serves that it could be compared with")


def test_a_worse_model_stops_unless_it_is_forced(
    inputs: Path, serving: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    """What serves is right nearly always; the new one is 1 off."""
    serving.append(4.0)

    code, decision = decide(inputs)
    assert (code, decision["passes"], decision["compared_with"]) == (1, False, 7)
    assert "the new model is worse: RMSE +0.9" in capsys.readouterr().err

    code, decision = decide(inputs, "--force", "true")
    assert (code, decision["passes"]) == (0, True)
    assert decision["why"].endswith("on 400 validation rows: worse, forced")


def test_a_better_model_passes(inputs: Path, serving: list[float]) -> None:
    """What serves is 2 off."""
    serving.append(2.0)

    code, decision = decide(inputs)

    assert (code, decision["passes"]) == (0, True)
    assert decision["difference"]["high"] < 0


def test_without_wf_the_step_says_so(
    inputs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It cannot know what serves."""
    monkeypatch.delenv("WF_API", raising=False)

    assert gate.main(["--inputs-dir", str(inputs), "--outputs-dir", str(inputs.parent / "outputs")]) == 1
    assert "this step asks the wf that runs it" in capsys.readouterr().err
