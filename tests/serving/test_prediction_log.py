"""The prediction log: what was asked and answered, as Parquet."""

from pathlib import Path

import polars as pl
import pytest

from serving.prediction_log import KEY_VARIABLE
from tests.serving.running import running


def test_rows_are_logged_with_their_answers(models: Path, tmp_path: Path) -> None:
    """A row for each row of a request, whole files only, when the server stops."""
    with running("--model_name=half", f"--model_base_path={models / 'half'}", f"--prediction_log={tmp_path}") as client:
        client.post("/v1/models/half:predict", {"instances": [1.0, 2.0]})
        client.post("/v1/models/half:predict", {"instances": [5.0]})
        client.post("/v1/models/half:predict", {"instances": ["no number"]})

    (path,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    logged = pl.read_parquet(path)
    assert path.parent == tmp_path / "half" / "2" / "serving_default"
    assert logged.columns == ["time", "latency_ms", "input_x", "output_y"]
    assert logged["input_x"].to_list() == [1.0, 2.0, 5.0]
    assert logged["output_y"].to_list() == [3.5, 4.0, 5.5]
    assert logged["latency_ms"].min() > 0  # type: ignore[operator]


def test_inputs_are_hashed_if_asked(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same value has the same hash under one key, and is found nowhere."""
    monkeypatch.setenv(KEY_VARIABLE, "a key")
    flags = [f"--prediction_log={tmp_path}", "--prediction_log_hash=text"]
    with running("--model_name=echo", f"--model_base_path={models / 'echo'}", *flags) as client:
        client.post("/v1/models/echo:predict", {"signature_name": "text", "instances": ["me", "you", "me"]})

    (path,) = tmp_path.rglob("*.parquet")
    first, second, third = pl.read_parquet(path)["input_text"].to_list()
    assert (len(first), first == third, first == second) == (32, True, False)


def test_a_folder_that_cannot_be_written_costs_no_request(
    models: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says what is lost."""
    (tmp_path / "file").touch()
    flags = [f"--prediction_log={tmp_path / 'file'}"]
    with running("--model_name=half", f"--model_base_path={models / 'half'}", *flags) as client:
        assert client.post("/v1/models/half:predict", {"instances": [1.0]})[0] == 200

    assert "1 rows of the prediction log are lost" in caplog.text
