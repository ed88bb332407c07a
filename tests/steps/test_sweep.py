"""Tests of `steps.sweep`: looking for parameters on synthetic ratings."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from steps.recommender import sweeping
from steps.recommender.search_space import Choices, Range, parse_axis
from steps.recommender.sweeping import Proposals, Trial
from steps.sweep import main
from tests.steps.conftest import SMALL_MODEL

SPACE = "--space=learning_rate=0.01..1 log; embedding_size=4|8"


def run(inputs: Path, outputs: Path, *flags: str) -> int:
    """Run the step with a small model of one epoch; returns its exit code."""
    folders = [f"--inputs-dir={inputs}", f"--outputs-dir={outputs}", f"--state-dir={outputs / 'state'}"]
    return main([*SMALL_MODEL, *folders, "--tracking=off", "--epochs=1", *flags])


def figures(outputs: Path) -> dict[str, Any]:
    """What the report says to programs."""
    content: dict[str, Any] = json.loads((outputs / "report" / "metrics.json").read_text())
    return content


def test_the_best_on_validation_is_kept(inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every trial is told, one archive is left of each, and the model is the one of the least validation RMSE."""
    assert run(inputs, tmp_path, SPACE, "--trials=3", "--tracking=offline") == 0

    found = figures(tmp_path)
    best = min(found["trials"], key=lambda trial: trial["validation"])
    model = json.loads((tmp_path / "model" / "model.json").read_text())["parameters"]
    history = json.loads((tmp_path / "model" / "history.json").read_text())
    assert len(found["trials"]) == len(list((tmp_path / "tracking").glob("*.zip"))) == 3
    assert found["best"] == best
    assert model["learning_rate"] == best["tried"]["learning_rate"]
    assert str(model["embedding_size"]) == best["tried"]["embedding_size"]
    assert history[0]["validation_rmse"] == pytest.approx(best["validation"])
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"The best of 3 trials is trial {best['number']}, with")
    assert "judge the model that was kept on test rows, once" in (tmp_path / "report" / "report.html").read_text()


def test_test_rows_are_not_read(inputs: Path, tmp_path: Path) -> None:
    """A sweep of a split whose test part is another one comes to the same."""
    shutil.copytree(inputs / "split", tmp_path / "split")
    shutil.copy(tmp_path / "split" / "validation.parquet", tmp_path / "split" / "test.parquet")

    assert run(inputs, tmp_path / "a", "--space=embedding_size=4|8", "--trials=1") == 0
    assert run(tmp_path, tmp_path / "b", "--space=embedding_size=4|8", "--trials=1") == 0

    errors = [figures(tmp_path / name)["best"]["validation"] for name in ("a", "b")]
    assert errors[0] == errors[1]


def test_an_interrupted_sweep_goes_on(inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped in the second trial and run again, the first is not trained again and the proposals are the same."""
    with monkeypatch.context() as patch:
        patch.setattr(sweeping, "line", lambda trial, _metric: sys.exit(143) if trial.number == 2 else "")
        with pytest.raises(SystemExit):
            run(inputs, tmp_path, SPACE, "--trials=2")
    kept = [(tmp_path / "state" / f"trial-{number}" / "checkpoint.npz").stat().st_mtime_ns for number in (1, 2)]

    assert run(inputs, tmp_path, SPACE, "--trials=2") == 0

    paths = [tmp_path / "state" / f"trial-{number}" / "checkpoint.npz" for number in (1, 2)]
    assert [path.stat().st_mtime_ns for path in paths] == kept


def test_a_diverging_trial_is_one_of_them(inputs: Path, tmp_path: Path) -> None:
    """It has no figure and is not the best; when all diverge, the message says what to change."""
    flags = ["--optimizer=sgd", "--algorithm=grid", "--epochs=4"]
    assert run(inputs, tmp_path / "some", *flags, "--space=learning_rate=10|0.0001") == 0
    assert run(inputs, tmp_path / "all", *flags, "--space=learning_rate=10") == 1

    found = figures(tmp_path / "some")
    assert [trial["validation"] is None for trial in found["trials"]] == [True, False]
    assert found["best"]["number"] == 2


@pytest.mark.parametrize("algorithm", ["random", "grid", "tpe"])
def test_no_combination_is_tried_twice(algorithm: str) -> None:
    """A space of four is used up after four trials, whatever is asked for."""
    axes = {"a": Choices(("1", "2")), "b": Choices(("x", "y"))}
    proposals, tried = Proposals(axes, algorithm, 50, seed=1, metric="rmse"), []
    for proposal in proposals:
        tried.append((proposal["a"], proposal["b"]))
        proposals.tell(1.0)

    assert sorted(tried) == [("1", "x"), ("1", "y"), ("2", "x"), ("2", "y")]


def test_tpe_looks_where_trials_were_good() -> None:
    """Of a bowl over one number, it comes nearer to the bottom than chance does with as many trials."""
    nearest = {}
    for algorithm in ("random", "tpe"):
        distances = []
        for seed in range(5):
            proposals = Proposals({"x": Range(0.0, 100.0, is_log=False, is_whole=False)}, algorithm, 40, seed, "rmse")
            found = []
            for proposal in proposals:
                found.append(abs(proposal["x"] - 37.0))
                proposals.tell(found[-1])
            distances.append(min(found))
        nearest[algorithm] = sum(distances)

    assert nearest["tpe"] < nearest["random"]


def test_grids_cut_ranges() -> None:
    """Into five at equal steps or ratios; of whole numbers, into those that there are."""
    assert parse_axis("rate", "0.01..100 log", whole=False).grid() == (0.01, 0.1, 1.0, 10.0, 100.0)
    assert parse_axis("share", "0..0.4", whole=False).grid() == (0.0, 0.1, 0.2, 0.3, 0.4)
    assert parse_axis("size", "1..3", whole=True).grid() == (1, 2, 3)
    assert parse_axis("layers", "64|256,64", whole=False) == Choices(("64", "256,64"))


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ("sed=1|2", "space: sed is nothing to try: choose from epochs, learning_rate"),
        ("learning_rate=0.1..", "space: `0.1..` is no range for learning_rate: write 0.001..0.1, or 0.001..0.1 log"),
        ("learning_rate=1..0.1", "space: the range of learning_rate must go up, not from 1 to 0.1"),
        ("learning_rate=0..1 log", "space: the range of learning_rate begins at 0, and log needs more than 0"),
        ("learning_rate=0.1|", "space: learning_rate has an empty value in `0.1|`"),
        ("optimizer=adam|lion", "space: optimizer cannot be lion: Input should be 'adagrad', 'adam'"),
        ("hide_users=0..1", "space: hide_users cannot be 1.0: Input should be less than 1"),
    ],
)
def test_a_wrong_space_is_refused(space: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything runs, by what is wrong in it."""
    assert run(tmp_path, tmp_path, f"--space={space}") == 2

    assert message in capsys.readouterr().err


def test_a_model_of_lists_is_chosen_by_lists(inputs: Path, tmp_path: Path) -> None:
    """The kept trial is that of the highest NDCG, and its lists are those of its best epoch."""
    flags = ["--layers=8", "--hide-users=0", "--hide-titles=0", "--space=learning_rate=0.0001|0.05"]
    assert run(inputs, tmp_path, "--model=retrieval", "--algorithm=grid", *flags) == 0

    found = figures(tmp_path)
    history = json.loads((tmp_path / "model" / "history.json").read_text())
    best = max(found["trials"], key=lambda trial: trial["validation"])
    assert found["metric"] == "ndcg@10"
    assert found["best"] == best
    assert history[0]["validation_ndcg"] == pytest.approx(best["validation"])


@pytest.mark.parametrize("metric", ["mae", "recall@10"])
def test_any_metric_compares_trials(metric: str, inputs: Path, tmp_path: Path) -> None:
    """Of errors the least is the best, of lists the most; the page and the figures say which metric it was."""
    flags = ["--optimizer=sgd", "--algorithm=grid", "--space=learning_rate=0.000001|0.01", f"--metric={metric}"]
    assert run(inputs, tmp_path, *flags) == 0

    found = figures(tmp_path)
    values = [trial["validation"] for trial in found["trials"]]
    assert found["best"]["validation"] == (min(values) if metric == "mae" else max(values))
    assert f"validation {metric.upper()}" in (tmp_path / "report" / "report.html").read_text()


def test_lists_need_rows_in_memory(inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is trained."""
    assert run(inputs, tmp_path, "--stream=always", "--metric=mrr") == 1

    assert "error: mrr ranks titles for whole users, who are not in memory: set stream to never" in (
        capsys.readouterr().err
    )


def test_trials_are_described() -> None:
    """A line for each."""
    good, bad = Trial(3, {"l2": 0.1}, 0.98765, 2, 1.0), Trial(4, {"l2": 0.1}, None, 0, 1.0)

    assert sweeping.line(good, "ndcg@10") == "trial 3  validation NDCG@10 0.9877  l2 0.1"
    assert sweeping.line(bad, "rmse") == "trial 4  diverged  l2 0.1"
