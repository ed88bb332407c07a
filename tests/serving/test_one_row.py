"""gRPC requests for one row: told by their bytes, and answered together."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tensorflow_serving.apis import predict_pb2

from serving.access_log import AccessLog
from serving.batching import BatchingParameters
from serving.errors import ServingError
from serving.inference import Inference
from serving.metrics import Metrics
from serving.models.config import ModelConfig
from serving.models.loader import Loader
from serving.models.manager import Manager
from serving.rpc.one_row import RowReader, RowWriter
from serving.rpc.predict import Predictor
from serving.signatures import TensorSpec
from steps.recommender import warmup
from tests.fuzz import one_row
from tests.serving.saved_models import later, lookup


@pytest.mark.parametrize("seed", range(3))
def test_plain_requests_are_told_by_their_bytes(seed: int) -> None:
    """Inputs in any order, every type, text up to a hundred bytes, and numbers of any size."""
    rng = random.Random(seed)
    for length in (0, 1, 50, 80):
        values = {**one_row.VALUES, "user": rng.randbytes(length), "at": rng.choice((0, -1, 2**62, -(2**63), 300))}
        names = rng.sample(sorted(values), len(values))
        data = b"".join(one_row.request({name: values[name]}) for name in names)

        assert one_row.check(data) == "read"


@st.composite
def _changed(draw: st.DrawFn) -> bytes:
    """Parts of a request left out, repeated, in another order, and bytes of it changed, put in or cut."""
    names = draw(st.lists(st.sampled_from(sorted(one_row.VALUES)), max_size=3)) or sorted(one_row.VALUES)
    order = draw(st.permutations([*dict.fromkeys((*names, *sorted(one_row.VALUES)))]))
    data = bytearray(b"".join(one_row.request({name: one_row.VALUES[name]}) for name in order))
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(data)))
        data[place : place + draw(st.integers(0, 4))] = draw(st.binary(max_size=4))
    return bytes(data)


_WHOLE = one_row.request(one_row.VALUES)
_AT = one_row.request({"at": 892_870_992})
_REST = one_row.request({name: value for name, value in one_row.VALUES.items() if name != "at"})


@settings(max_examples=300, deadline=None)
@given(_changed())
@example(_REST + _AT[:-5] + b"\xff\xff\xff\xff\xff")  # a number without an end
@example(_REST + _AT[:-5] + b"\x01\x02\x03\x04\x05")  # five numbers
@example(_REST + _AT[:-5] + b"\x81\x80\x80\x80\x00")  # a one, at length
@example(_REST + _AT + _AT)
@example(_WHOLE[:-1])
@example(_WHOLE + b"\x00")
@example(_WHOLE + b"\x1a\x01x")  # an output filter
@example(b"")
def test_no_bytes_mean_anything_but_what_protobuf_says(data: bytes) -> None:
    """What is not as usual is left to it; and what is refused is refused in the same words."""
    one_row.check(data)


def test_signatures_of_other_shapes_are_left_to_protobuf() -> None:
    """Lists in the rows, values for all rows, types whose fields have numbers of two bytes, and long names."""
    for spec in (
        TensorSpec("x", "x", "float", (-1, 2)),
        TensorSpec("x", "x", "float", ()),
        TensorSpec("x", "x", "uint64", (-1,)),
        TensorSpec("x", "x", "half", (-1,)),
        TensorSpec("x" * 120, "x", "float", (-1,)),
    ):
        assert RowReader.of({spec.name: spec}) is None
        assert RowReader.of({"y": TensorSpec("y", "y", "float", (-1,)), spec.name: spec}) is None
    assert RowReader.of({}) is None
    assert RowWriter.of({"x": TensorSpec("x", "x", "int64", (-1,))}, b"") is None


def test_answers_are_what_protobuf_reads() -> None:
    """A row of each output; and no other number of values is written so."""
    specs = {name: TensorSpec(name, name, dtype, (-1,)) for name, dtype in (("a", "float"), ("b", "double"))}
    writer = RowWriter.of(specs, predict_pb2.PredictResponse(model_spec={"name": "m"}).SerializeToString())
    assert writer
    outputs = {"a": np.array([0.2, np.nan], np.float32), "b": np.array([0.1, -np.inf])}

    answers = [predict_pb2.PredictResponse.FromString(each) for each in writer.write(outputs, 2) or ()]

    for place, answer in enumerate(answers):
        assert answer.model_spec.name == "m"
        for name, array in outputs.items():
            np.testing.assert_array_equal(tf.make_ndarray(answer.outputs[name]), array[place : place + 1], strict=True)
    assert len(answers) == 2
    assert writer.write(outputs, 1) is None
    assert writer.write({**outputs, "a": outputs["b"]}, 2) is None


def ask(folder: Path, name: str, rounds: Sequence[Sequence[bytes]], engine: str) -> tuple[list[list[Any]], str]:
    """What each request of each round is answered, all requests of a round at once, and what was counted."""
    metrics = Metrics()

    async def run(executor: ThreadPoolExecutor) -> list[list[Any]]:
        loader = Loader(executor, metrics, BatchingParameters(), engine, warmup=False, intra_op=1, inter_op=1)
        manager = Manager(loader, executor)
        await manager.configure([ModelConfig(name, folder)])
        servable = manager.find(name)
        loader.improve(servable, folder / "1")
        assert servable.engine.name == ("tensorflow" if engine == "tf" else engine)
        predictor = Predictor(Inference(manager, metrics, AccessLog(0)))
        found = []
        for asked in rounds:
            calls = [predictor.predict(data) for data in asked]
            found.append([_told(each) for each in await asyncio.gather(*calls, return_exceptions=True)])
        await manager.close()
        return found

    with ThreadPoolExecutor(1) as executor:
        return asyncio.run(run(executor)), metrics.exposition().decode()


def _told(answer: Any) -> Any:
    if isinstance(answer, ServingError):
        return answer.code.name, answer.message
    assert isinstance(answer, bytes), answer
    response = predict_pb2.PredictResponse.FromString(answer)
    assert response.model_spec.version.value == 1
    assert response.model_spec.signature_name == "serving_default"
    return {key: tf.make_ndarray(proto).tolist() for key, proto in response.outputs.items()}


def predict(model: str, **inputs: Any) -> bytes:
    """A request."""
    request = predict_pb2.PredictRequest(model_spec={"name": model})
    for name, values in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(values))
    return bytes(request.SerializeToString())


def _known(folder: Path, signature: Mapping[str, str], row: dict[str, Any]) -> None:
    warmup.write(folder, {"serving_default": signature}, [row])


def test_requests_that_come_at_once_are_computed_at_once(tmp_path: Path) -> None:
    """Each has its own answer; a wrong one spoils no other, and what is not as usual is answered as ever."""
    later(tmp_path / "1")
    _known(tmp_path / "1", {"at": "int64"}, {"at": [1, 2]})
    usual = [predict("late", at=np.array([value], np.int64)) for value in (1, 2, 892_870_992)]
    endless, several = (usual[2][:-5] + more for more in (b"\xff\xff\xff\xff\xff", b"\x01\x02\x03\x04\x05"))
    many = predict("late", at=np.array([1, 2], np.int64))
    typed = predict("late", at=["text"])

    rounds, counted = ask(tmp_path, "late", [usual[:1], usual * 7, [*usual, endless, many, typed, several]], "tflite")

    answers = [{"later": [2.0]}, {"later": [3.0]}, {"later": [892_870_993.0]}]
    assert rounds[0] == answers[:1]
    assert rounds[1] == answers * 7
    assert rounds[2] == [
        *answers,
        ("INVALID_ARGUMENT", "the request is no message of this method"),
        {"later": [2.0, 3.0]},
        ("INVALID_ARGUMENT", "input `at` has type object, expected int64"),
        ("INVALID_ARGUMENT", "Tensor proto parsing error: `at` has 5 values for [1]"),
    ]
    assert 'request_count{model_name="late",status="OK"} 26' in counted
    assert 'request_count{model_name="late",status="INVALID_ARGUMENT"} 3' in counted
    # The first, two calls for 21 requests, one for two rows, and three alone beside wrong ones.
    assert 'runtime_latency_count{model_name="late",API="Predict",runtime="tflite"} 7' in counted


def test_lists_in_rows_and_text_in_answers_go_the_general_way(tmp_path: Path) -> None:
    """As does whatever TensorFlow itself answers."""
    lookup(tmp_path / "1")
    asked = [predict("lookup", name=["a"], past=[["a", "b"]]), predict("lookup", name=["b"], past=[["", "b"]])]

    rounds, _ = ask(tmp_path, "lookup", [asked, asked], "tf")

    assert rounds == [[{"known": [b"a"], "sum": [4.0]}, {"known": [b"b"], "sum": [4.0]}]] * 2
