"""Requests of one turn of the event loop are computed together, and each has its own answer."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl

from serving.access_log import AccessLog
from serving.batching import BatchingParameters
from serving.gathering import Gathering
from serving.inference import Call, Inference
from serving.metrics import Metrics
from serving.models.loader import Loader
from serving.models.manager import Manager
from serving.prediction_log import PredictionLog, PredictionLogSettings
from serving.rest.app import JsonRows
from steps.recommender import warmup
from tests.serving.saved_models import lookup


def gather(
    models: Path,
    name: str,
    signature: str,
    asked: Sequence[list[Any]],
    *,
    engine: str = "tf",
    log: PredictionLog | None = None,
) -> tuple[list[str], str]:
    """The bodies of the answers to requests that come together, and what was counted."""
    metrics = Metrics()
    with ThreadPoolExecutor(1) as executor:
        loader = Loader(executor, metrics, BatchingParameters(), engine, warmup=False, intra_op=1, inter_op=1)
        version = max(map(int, (path.name for path in (models / name).iterdir())))
        servable = loader.load(name, version, models / name / str(version), urgent=False)
        assert servable.engine.name == ("tensorflow" if engine == "tf" else engine)
        gathering = Gathering(Inference(Manager(loader, executor), metrics, AccessLog(0), log), JsonRows())
        answers: list[str] = []

        async def ask() -> None:
            for instances in asked:
                pending = gathering.add(
                    servable, servable.signatures[signature], instances, Call("Predict", "REST", name)
                )
                pending.deliver = lambda answer: answers.append(answer.body.decode())
            assert servable.busy
            await asyncio.sleep(0)
            assert not servable.busy

        asyncio.run(ask())
        servable.close()
    return answers, metrics.exposition().decode()


def test_each_request_has_its_own_rows(models: Path) -> None:
    """Whatever their number, in the order in which they came; more than are computed at once."""
    asked = [[float(number)] * (number % 5 + 1) for number in range(20)]
    answers, counted = gather(models, "half", "serving_default", asked)
    assert answers == [
        '{"predictions":[' + ",".join([str(number / 2 + 3)] * (number % 5 + 1)) + "]}" for number in range(20)
    ]
    assert ':tensorflow:serving:request_count{model_name="",status="OK"} 20' in counted
    assert ':tensorflow:serving:request_example_count_total{model=""} 60' in counted


def test_a_wrong_request_spoils_no_other(models: Path) -> None:
    """It is told what is wrong with its own rows."""
    answers, counted = gather(models, "half", "serving_default", [[1.0], [2.0, "two"], [[3.0]], [4.0]])
    assert answers == [
        '{"predictions":[3.5]}',
        (
            '{"error":"Failed to process element: 1 of \'instances\' list. '
            'Error: INVALID_ARGUMENT: JSON Value: \\"two\\" Type: String is not of expected type: float"}'
        ),
        '{"error":"input `x` has shape [1, 1], expected [-1] (-1: any size)"}',
        '{"predictions":[5.0]}',
    ]
    assert 'status="INVALID_ARGUMENT"} 2' in counted
    assert ':tensorflow:serving:request_example_count_total{model=""} 2' in counted


def test_rows_of_objects_are_put_together_too(models: Path) -> None:
    """Several inputs and outputs, some with lists in the rows; keys that only fit on the whole do not pass."""
    rows = [{"a": 1.0, "b": [1.0, 2.0]}, {"a": 2.0, "b": [3.0, 4.0]}, {"a": 3.0}, {"a": 4.0, "b": [1.0, 2.0], "c": 0}]
    answers, _ = gather(models, "echo", "pair", [[row] for row in rows])
    assert answers[:2] == ['{"predictions":[{"a":1.0,"b":[1.0,2.0]}]}', '{"predictions":[{"a":2.0,"b":[3.0,4.0]}]}']
    assert all(answer.startswith('{"error":"Failed to process element: 0') for answer in answers[2:])


def test_a_compiled_engine_gathers_and_each_request_is_logged(tmp_path: Path) -> None:
    """Text and lists in the rows; the log has what was asked and answered, and not the rows that fill up."""
    lookup(tmp_path / "lookup" / "1")
    known = {"name": ["a", "zz"], "past": [["a", "b"], ["b", ""]]}
    warmup.write(tmp_path / "lookup" / "1", {"serving_default": {"name": "string", "past": "string"}}, [known])
    log = PredictionLog(PredictionLogSettings(tmp_path / "log", seconds=3600))  # one file, however busy the machine
    rows = [{"name": name, "past": ["a", past]} for name, past in (("a", "a"), ("b", "b"), ("zz", ""), ("a", "b"))]

    asked: list[list[Any]] = [rows[:1], rows[1:3], [{"name": 5, "past": []}], rows[3:], rows[:1]]
    answers, _ = gather(tmp_path, "lookup", "serving_default", asked, engine="tflite", log=log)
    log.close()

    assert answers[:2] == [
        '{"predictions":[{"known":"a","sum":3.0}]}',
        '{"predictions":[{"known":"b","sum":5.0},{"known":"?","sum":1.0}]}',
    ]
    assert answers[2].startswith('{"error":"Failed to process element: 0 key: name')
    assert answers[3:] == ['{"predictions":[{"known":"a","sum":4.0}]}', answers[0]]
    (path,) = (tmp_path / "log").rglob("*.parquet")
    logged = pl.read_parquet(path)
    assert logged["input_name"].to_list() == ["a", "b", "zz", "a", "a"]
    assert logged["input_past"].to_list() == [["a", "a"], ["a", "b"], ["a", ""], ["a", "b"], ["a", "a"]]
    assert logged["output_sum"].to_list() == [3.0, 5.0, 1.0, 4.0, 3.0]
