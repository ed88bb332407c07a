"""A compiled engine answers in TensorFlow's place where it has shown that it answers alike, and nowhere else."""

import asyncio
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from serving.batching import BatchingParameters
from serving.metrics import Metrics
from serving.models.loader import Loader
from serving.models.servable import Servable
from serving.signatures import Tensors, rows_of
from steps.recommender import warmup
from tests.serving.saved_models import half_plus, lookup


@pytest.fixture(scope="module")
def executor() -> Iterator[ThreadPoolExecutor]:
    """Threads for models."""
    with ThreadPoolExecutor(1) as threads:
        yield threads


def load(folder: Path, engine: str, executor: ThreadPoolExecutor) -> Servable:
    """The model, with the engine that was chosen for it."""
    loader = Loader(executor, Metrics(), BatchingParameters(), engine, warmup=True, intra_op=1, inter_op=1)
    return loader.load("m", 1, folder, urgent=False)


def answer(servable: Servable, **inputs: Any) -> Mapping[str, Any]:
    """What the default signature answers."""
    signature = servable.signature("")
    assert signature

    async def ask() -> Tensors:
        outputs = servable.predict(signature, inputs, rows_of(inputs))
        return await outputs if isinstance(outputs, asyncio.Future) else outputs

    return asyncio.run(ask())


@pytest.mark.parametrize("engine", ["tflite", "onnx"])
def test_an_engine_that_answers_alike_takes_over(engine: str, tmp_path: Path, executor: ThreadPoolExecutor) -> None:
    """Text, tables and padded lists among the inputs; also for numbers of rows that were not compared."""
    lookup(tmp_path)
    request = {"name": ["a", "b", "zz", "\u4e16", ""], "past": [["a", "b", ""]] * 5}
    warmup.write(tmp_path, {"serving_default": {"name": "string", "past": "string"}}, [request])

    servable = load(tmp_path, engine, executor)

    assert servable.engine.name == engine, servable.engine.reason
    assert servable.engine.reason == f"serving_default by {engine}, which gave TensorFlow's answers"
    for rows, width in ((1, 3), (3, 2), (150, 1)):
        names = np.array([b"a", b"zz", b"b"] * 50, object)[:rows]
        past = np.full((rows, width), b"b", object)
        found = answer(servable, name=names, past=past)
        expected = [{b"a": 1.0, b"b": 2.0}.get(name, 0.0) + 2.0 * width for name in names]
        assert found["sum"].tolist() == expected
        assert found["known"].tolist() == [b"?" if name == b"zz" else name for name in names]
    assert answer(servable, name=np.empty(0, object), past=np.empty((0, 3), object))["sum"].tolist() == []
    servable.close()


def test_tensorflow_stays_without_known_requests(tmp_path: Path, executor: ThreadPoolExecutor) -> None:
    """Nothing was compared, so nothing is trusted."""
    half_plus(tmp_path, 1.0)

    servable = load(tmp_path, "auto", executor)

    reason = "serving_default by TensorFlow (no known requests to compare answers)"
    assert (servable.engine.name, servable.engine.reason) == ("tensorflow", reason)
    servable.close()


def test_tensorflow_stays_where_answers_differ(tmp_path: Path, executor: ThreadPoolExecutor) -> None:
    """Here they do because the model answers something new each time."""

    class Dice(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])  # type: ignore[untyped-decorator]
        def __call__(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"y": x + tf.random.uniform(tf.shape(x))}

    module = Dice()
    tf.saved_model.save(module, str(tmp_path), signatures=module.__call__)
    warmup.write(tmp_path, {"serving_default": {"x": "float32"}}, [{"x": [1.0, 2.0]}])

    servable = load(tmp_path, "tflite", executor)

    assert servable.engine.name == "tensorflow"
    assert servable.engine.reason == ("serving_default by TensorFlow (tflite: answers differ: `y` by more than 0.0001)")
    servable.close()


def test_what_a_converter_cannot_do_is_told_in_few_words(tmp_path: Path, executor: ThreadPoolExecutor) -> None:
    """The operations that it does not have, not the graph around them."""

    class Solve(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec([None, 2, 2], tf.float32, "x")])  # type: ignore[untyped-decorator]
        def __call__(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"y": tf.linalg.solve(x, x), "z": tf.linalg.cholesky(x)}

    module = Solve()
    tf.saved_model.save(module, str(tmp_path), signatures=module.__call__)
    warmup.write(tmp_path, {"serving_default": {"x": "float32"}}, [{"x": [[[1.0, 0.0], [0.0, 1.0]]]}])

    servable = load(tmp_path, "tflite", executor)

    why = "serving_default by TensorFlow (tflite: it has no operation Cholesky, MatrixSolve)"
    assert servable.engine.reason == why
    servable.close()
