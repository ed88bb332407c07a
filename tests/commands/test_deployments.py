"""What `wf deployments` makes of a spec and of its flags."""

import argparse
from pathlib import Path

import pytest

from wf.commands.deployments import add_arguments, read_spec
from wf.deployments.spec import PredictionLog


@pytest.mark.parametrize(
    ("stated", "flags", "wanted"),
    [
        ("", [], None),
        ("", ["--prediction-log"], PredictionLog()),
        ("predictionLog: true", ["--no-prediction-log"], None),
        ("", ["--log-sampling=0.1"], PredictionLog(sampling=0.1)),
        (
            "predictionLog: {sampling: 0.5, seconds: 5}",
            ["--log-hash=user_id", "--log-hash=movie_title"],
            PredictionLog(sampling=0.5, hashed=("user_id", "movie_title"), seconds=5.0),
        ),
    ],
)
def test_flags_say_what_is_logged(stated: str, flags: list[str], wanted: PredictionLog | None, tmp_path: Path) -> None:
    """They win over the spec, and leave what they do not name."""
    (tmp_path / "movies.yaml").write_text(f"image: tensorflow/serving\nport: 8501\n{stated}\n")
    parser = argparse.ArgumentParser()
    add_arguments(parser)

    spec = read_spec(parser.parse_args(["create", "movies", f"--spec={tmp_path / 'movies.yaml'}", *flags]))

    assert spec.prediction_log == wanted
