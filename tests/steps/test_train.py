"""Tests of `steps.train`, on synthetic ratings."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from steps.evaluate import main as evaluate
from steps.recommender.history import EpochRecord
from steps.train import STEP, main
from tests.steps.conftest import SMALL_MODEL
from tests.steps.synthetic_ratings import write_split


def run(inputs: Path, outputs: Path, *flags: str, state: Path | None = None) -> int:
    """Run the step with a small model; returns its exit code."""
    folders = [f"--inputs-dir={inputs}", f"--outputs-dir={outputs}", f"--state-dir={state or outputs / 'state'}"]
    return main([*SMALL_MODEL, *folders, "--tracking=off", *flags])


def history(outputs: Path) -> list[dict[str, Any]]:
    """The records of all epochs."""
    records: list[dict[str, Any]] = json.loads((outputs / "model" / "history.json").read_text())
    return records


def recorded(outputs: Path) -> dict[str, float]:
    """The job's metrics."""
    metrics: dict[str, float] = json.loads((outputs / ".wf" / "metrics.json").read_text())
    return metrics


def weights(outputs: Path) -> list[Any]:
    """The arrays of a trained model."""
    from steps.recommender import trained_model

    arrays: list[Any] = trained_model.load(outputs / "model").model.get_weights()
    return arrays


def test_training_learns_and_writes_the_whole_model_folder(inputs: Path) -> None:
    """After a few epochs the validation error is far below the start, and each file of the format is there."""
    files = {path.name for path in (inputs / "model").iterdir()}
    errors = [record["validation_rmse"] for record in history(inputs)]

    assert files == {"model.json", "vocabulary.json", "basis.npz", "weights.weights.h5", "history.json"}
    assert len(errors) == 4
    assert min(errors) < 0.8 * errors[0]
    assert not (inputs / "tracking").exists()  # it is off


def test_final_metrics_are_those_of_the_best_epoch(inputs: Path) -> None:
    """What is recorded for comparing runs is the validation RMSE of the epoch whose weights are kept."""
    errors = [record["validation_rmse"] for record in history(inputs)]
    metrics = recorded(inputs)

    assert metrics["validation_rmse"] == min(errors)
    assert metrics["best_epoch"] == errors.index(min(errors)) + 1
    assert 0 < metrics["train_rmse"] < 1.2


def test_each_epoch_is_one_aligned_line() -> None:
    """The console shows epoch, loss, errors, speed and time left, in columns."""
    slow = EpochRecord(9, 0.91234, 1.2, 0.95514, 1.05211, 1.5, 999.6).line(11)
    fast = EpochRecord(10, 0.9, 1.1, 0.94, 1.05, 0.5, 1_234_567.0).line(11)

    assert slow == "epoch  9/11  loss 0.9123  rmse 0.9551  val_rmse 1.0521        1,000 examples/s  3 s left"
    assert fast == "epoch 10/11  loss 0.9000  rmse 0.9400  val_rmse 1.0500    1,234,567 examples/s  0 s left"


def test_the_same_seed_gives_the_same_model(inputs: Path, tmp_path: Path) -> None:
    """Training again with the same parameters gives the same files, to the last bit: what reads them runs no more."""
    assert run(inputs, tmp_path) == 0

    again, before = tmp_path / "model", inputs / "model"
    assert {each.name: each.read_bytes() for each in again.iterdir()} == {
        each.name: each.read_bytes() for each in before.iterdir()
    }


def test_another_seed_gives_another_model(inputs: Path, tmp_path: Path) -> None:
    """The seed reaches initial weights, the order of rows, and what is hidden."""
    assert run(inputs, tmp_path, "--seed=2", "--epochs=1") == 0

    assert history(tmp_path)[0] != history(inputs)[0]


@pytest.mark.parametrize("stream", ["never", "always"])
def test_an_interrupted_training_continues_as_if_it_had_not_stopped(
    stream: str, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stopped after epoch 2 and started again, training ends with the bits of one that ran through."""
    flags = ["--dropout=0.2", "--optimizer=adam", "--learning-rate=0.01", f"--stream={stream}"]
    assert run(inputs, tmp_path / "through", *flags) == 0
    with monkeypatch.context() as patch:
        patch.setattr(
            EpochRecord, "line", lambda record, epochs: sys.exit(143) if record.epoch == 2 else f"of {epochs}"
        )
        with pytest.raises(SystemExit):
            run(inputs, tmp_path / "again", *flags)
    capsys.readouterr()

    assert run(inputs, tmp_path / "again", *flags) == 0

    assert "continuing after epoch 2" in capsys.readouterr().out
    assert history(tmp_path / "again") == history(tmp_path / "through")
    pairs = zip(weights(tmp_path / "again"), weights(tmp_path / "through"), strict=True)
    assert all(np.array_equal(ours, theirs) for ours, theirs in pairs)


def test_several_seeds_keep_the_best_on_validation(
    inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each seed has its own model, the kept one is that of the least validation RMSE, and one seed alone agrees."""
    assert run(inputs, tmp_path / "several", "--seeds=2", "--seed=4", "--epochs=2", "--tracking=offline") == 0
    assert run(inputs, tmp_path / "alone", "--seed=5", "--epochs=2") == 0

    metrics, seeds = recorded(tmp_path / "several"), tmp_path / "several" / "model" / "seeds"
    errors = {
        seed: min(record["validation_rmse"] for record in json.loads((seeds / seed / "history.json").read_text()))
        for seed in ("4", "5")
    }
    assert errors["5"] == recorded(tmp_path / "alone")["validation_rmse"]
    assert metrics["best_seed"] == int(min(errors, key=errors.__getitem__))
    assert metrics["validation_rmse"] == min(errors.values())
    assert metrics["validation_rmse_spread"] == pytest.approx(np.std(list(errors.values()), ddof=1))
    assert f"the model of seed {metrics['best_seed']} is kept, the best on validation" in capsys.readouterr().out

    assert len(list((tmp_path / "several" / "tracking").glob("*.zip"))) == 2
    evaluated = tmp_path / "evaluated"
    shutil.copytree(inputs / "split", tmp_path / "several" / "split")
    assert evaluate([f"--inputs-dir={tmp_path / 'several'}", f"--outputs-dir={evaluated}", "--tracking=off"]) == 0
    figures = json.loads((evaluated / "report" / "metrics.json").read_text())
    kept = figures["seeds"]["static"]["rmse"][str(metrics["best_seed"])]
    assert kept == figures["parts"]["test"]["systems"]["model"]["rmse"]
    assert "Several seeds" in (evaluated / "report" / "report.html").read_text()


def test_several_seeds_interrupted_go_on_where_they_were(
    inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Stopped in the second training, neither the first nor its epochs so far are trained again."""
    flags = ["--seeds=2", "--epochs=2"]
    lines: list[int] = []

    def stop(record: EpochRecord, epochs: int) -> str:
        lines.append(record.epoch)
        return sys.exit(143) if len(lines) == 3 else f"of {epochs}"

    with monkeypatch.context() as patch:
        patch.setattr(EpochRecord, "line", stop)
        with pytest.raises(SystemExit):
            run(inputs, tmp_path, *flags)
    capsys.readouterr()

    assert run(inputs, tmp_path, *flags) == 0

    printed = capsys.readouterr().out
    assert "continuing after epoch 2" in printed
    assert "continuing after epoch 1" in printed


def test_a_checkpoint_of_other_parameters_is_not_continued(
    inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A state folder from another learning rate is started over."""
    assert run(inputs, tmp_path / "one", "--epochs=1", state=tmp_path / "state") == 0
    assert run(inputs, tmp_path / "two", "--epochs=1", "--learning-rate=0.05", state=tmp_path / "state") == 0

    assert "continuing" not in capsys.readouterr().out


def test_early_stopping_keeps_the_best_epoch(inputs: Path, tmp_path: Path) -> None:
    """With a learning rate that overshoots, training stops after the patience and keeps the best weights."""
    assert run(inputs, tmp_path, "--epochs=60", "--early-stopping=2", "--optimizer=adam", "--learning-rate=0.05") == 0

    errors = [record["validation_rmse"] for record in history(tmp_path)]
    best = errors.index(min(errors)) + 1
    assert len(errors) == best + 2 < 60
    assert recorded(tmp_path)["best_epoch"] == best


def test_cross_entropy_trains_too(inputs: Path, tmp_path: Path) -> None:
    """Ratings scaled to 0..1 are learned with binary cross-entropy about as well."""
    assert run(inputs, tmp_path, "--loss=bce", "--epochs=20") == 0

    assert recorded(tmp_path)["validation_rmse"] < 0.8


def test_what_a_training_took_is_an_output_of_its_own(inputs: Path, tmp_path: Path) -> None:
    """Where the workflow asks for it: the model is the same whatever it took."""
    (tmp_path / "cost").mkdir()
    assert run(inputs, tmp_path, "--epochs=1") == 0

    cost = json.loads((tmp_path / "cost" / "cost.json").read_text())
    assert cost == {"train_seconds": recorded(tmp_path)["train_seconds"]}


def test_a_training_leaves_no_cost_that_nobody_asked_for(inputs: Path, tmp_path: Path) -> None:
    """`wf` would tell of an output that it drops."""
    assert run(inputs, tmp_path, "--epochs=1") == 0

    assert not (tmp_path / "cost").exists()


def test_a_split_without_validation_rows_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without validation rows there is no best epoch, and the message says what to change."""
    write_split(tmp_path / "split", validation_rows=0)

    assert run(tmp_path, tmp_path / "out") == 1

    assert "error: the split has no validation rows" in capsys.readouterr().err


def test_a_diverging_training_says_so(inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """When the loss is no longer a number, the message names the epoch and the parameter to lower."""
    assert run(inputs, tmp_path, "--optimizer=sgd", "--learning-rate=10") == 1

    error = capsys.readouterr().err
    assert re.search(r"diverged: in epoch \d+ the loss is (nan|inf)", error)
    assert "Lower learning_rate, which is 10.0." in error


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--layers=256,0", "layers must be sizes from 1 to 65536, not [256, 0]"),
        ("--epochs=0", "epochs: Input should be greater than or equal to 1"),
        ("--optimizer=lion", "optimizer: Input should be"),
    ],
)
def test_wrong_parameters_are_refused(
    flag: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A value outside its bounds ends with exit code 2 and names the parameter."""
    assert run(tmp_path, tmp_path, flag) == 2

    assert message in capsys.readouterr().err


def test_describing_the_steps_is_quick() -> None:
    """Importing the steps, as `wf` does to check parameters, loads no heavy library."""
    heavy = "{'tensorflow', 'polars', 'numpy', 'comet_ml', 'requests'}"
    code = f"import sys, steps.train, steps.evaluate, steps.export; print(*{heavy} & set(sys.modules))"

    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert loaded.stdout.split() == []


def test_learning_imports_no_scipy() -> None:
    """What TensorFlow would take along because it is installed is left out, and can still be imported afterwards."""
    code = (
        "import sys; from steps.recommender.lean_import import import_tensorflow; import_tensorflow(); "
        "from steps.recommender import sweeping, training; print(*{'scipy'} & set(sys.modules)); "
        "import scipy.sparse; print(scipy.sparse.eye(1).sum())"
    )

    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert loaded.stdout.splitlines() == ["", "1.0"]


def test_training_may_have_the_network_only_with_a_comet_key() -> None:
    """The step asks for a GPU where there is one, keeps state, and gets the network only for tracking."""
    assert (STEP.gpus, STEP.state, STEP.network, STEP.network_with) == ("auto", True, False, ("COMET_API_KEY",))
