"""gRPC, through the published client of TensorFlow Serving."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2, types_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from serving.models.manager import Manager
from serving.signatures import CLASSIFY, REGRESS
from tests.serving.running import Client, running
from tests.serving.saved_models import examples_model, half_plus


@pytest.fixture(scope="module")
def prediction(half: Client) -> Iterator[Any]:
    """A stub of PredictionService, speaking to `half`."""
    with grpc.insecure_channel(half.rpc_address) as channel:
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel)


@pytest.fixture(scope="module")
def echo_stub(echoing: Client) -> Iterator[Any]:
    """A stub of PredictionService, speaking to `echo`."""
    with grpc.insecure_channel(echoing.rpc_address) as channel:
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel)


def request(name: str, signature: str = "", **inputs: Any) -> Any:
    """A predict request; values become tensors."""
    made = predict_pb2.PredictRequest()
    made.model_spec.name = name
    made.model_spec.signature_name = signature
    for key, value in inputs.items():
        made.inputs[key].CopyFrom(tf.make_tensor_proto(value))
    return made


def refusal(call: Any, message: Any) -> tuple[str, str]:
    """The status and text with which a call is refused."""
    with pytest.raises(grpc.RpcError) as caught:
        call(message, timeout=30)
    return caught.value.code().name, caught.value.details()


def test_a_prediction_names_what_answered(prediction: Any) -> None:
    """Values in the field of their type; the version and the signature that gave them."""
    response = prediction.Predict(request("half", x=np.array([1.0, 2.0], np.float32)), timeout=30)

    assert list(response.outputs["y"].float_val) == [3.5, 4.0]
    assert (response.model_spec.name, response.model_spec.version.value) == ("half", 2)
    assert response.model_spec.signature_name == "serving_default"


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("text", np.array([b"a", b"\xff", "\u4e16".encode()], object)),
        ("flag", np.array([True, False])),
        ("tiny", np.array([-128, 5], np.int8)),
        ("byte", np.array([255, 5], np.uint8)),
        ("short", np.array([-(2**31), 5], np.int32)),
        ("long", np.array([2**63 - 1, 5], np.int64)),
        ("natural", np.array([2**64 - 1, 5], np.uint64)),
        ("single", np.array([0.2, np.nan], np.float32)),
        ("double", np.array([0.1, np.inf], np.float64)),
    ],
)
def test_every_type_passes_in_both_encodings(echo_stub: Any, name: str, values: Any) -> None:
    """As packed content, and in typed fields."""
    packed = request("echo", name, **{name: values})
    typed = request("echo", name)
    proto = typed.inputs[name]
    proto.CopyFrom(packed.inputs[name])
    if proto.tensor_content:
        proto.tensor_content = b""
        fields = {types_pb2.DT_INT64: "int64_val", types_pb2.DT_UINT64: "uint64_val", types_pb2.DT_DOUBLE: "double_val"}
        fields |= {types_pb2.DT_FLOAT: "float_val", types_pb2.DT_BOOL: "bool_val"}
        getattr(proto, fields.get(proto.dtype, "int_val")).extend(values.tolist())

    for message in (packed, typed):
        answer = tf.make_ndarray(echo_stub.Predict(message, timeout=30).outputs[name])
        np.testing.assert_array_equal(answer, values)


def test_the_last_value_stands_for_all_that_follow(prediction: Any) -> None:
    """TensorFlow's short way to write equal values."""
    message = request("half", x=np.zeros(3, np.float32))
    message.inputs["x"].ClearField("tensor_content")
    message.inputs["x"].float_val.extend([2.0])

    assert list(prediction.Predict(message, timeout=30).outputs["y"].float_val) == [4.0] * 3


def test_only_the_wanted_outputs_come(echo_stub: Any) -> None:
    """`output_filter`."""
    message = request("echo", "pair", a=np.array([1], np.float32), b=np.array([[1, 2]], np.float32))
    message.output_filter.append("b")
    assert list(echo_stub.Predict(message, timeout=30).outputs) == ["b"]

    message.output_filter[:] = ["b", "b"]
    assert refusal(echo_stub.Predict, message) == ("INVALID_ARGUMENT", "duplicate output tensor alias: b")
    message.output_filter[:] = ["c"]
    assert refusal(echo_stub.Predict, message) == (
        "INVALID_ARGUMENT",
        "output tensor alias not found in signature: c Outputs expected to be in the set {a,b}.",
    )


def test_wrong_requests_are_refused_like_tensorflow_serving_does(prediction: Any) -> None:
    """With its codes and words."""
    message = request("half", x=np.array([1], np.float32), z=np.array([1], np.float32))
    assert refusal(prediction.Predict, message) == (
        "INVALID_ARGUMENT",
        "input size does not match signature: 2!=1 len({x,z}) != len({x}). Sent extra: {z}. Missing but required: {}.",
    )
    assert refusal(prediction.Predict, request("half", "other")) == (
        "FAILED_PRECONDITION",
        'Serving signature key "other" not found.',
    )
    assert refusal(prediction.Predict, request("none")) == (
        "NOT_FOUND",
        "Servable not found for request: Latest(none)",
    )
    assert refusal(prediction.Predict, request("half", x=["a"])) == (
        "INVALID_ARGUMENT",
        "input `x` has type object, expected float",
    )
    message = request("half", x=np.array([1, 2], np.float32))
    message.inputs["x"].tensor_shape.dim[0].size = 3
    assert refusal(prediction.Predict, message) == (
        "INVALID_ARGUMENT",
        "Tensor proto parsing error: `x` has content that does not fill [3]",
    )
    message.inputs["x"].tensor_content = b""
    message.inputs["x"].tensor_shape.dim[0].size = 2**40
    message.inputs["x"].float_val.append(1)
    assert refusal(prediction.Predict, message) == (
        "INVALID_ARGUMENT",
        "Tensor proto parsing error: `x` has 1 values for [1099511627776]",
    )
    message.inputs["x"].tensor_shape.dim.add()
    assert refusal(prediction.Predict, message) == (
        "INVALID_ARGUMENT",
        "Tensor proto parsing error: `x` has 1 values for [1099511627776, 0]",
    )
    del message.inputs["x"].float_val[:]
    assert refusal(prediction.Predict, message) == (
        "INVALID_ARGUMENT",
        "input `x` has shape [1099511627776, 0], expected [-1] (-1: any size)",
    )
    message.inputs["x"].tensor_shape.dim[0].size = 2**62
    assert refusal(prediction.Predict, message) == (
        "INVALID_ARGUMENT",
        "Tensor proto parsing error: `x` has no shape that a value can have",
    )


NAMES = st.sampled_from(["echo", "text", "flag", "single", "long_table", "pair", "scalar", "a", "b", ""])
TENSORS = st.builds(
    tensor_pb2.TensorProto,
    dtype=st.integers(0, 130),
    tensor_shape=st.builds(
        tensor_shape_pb2.TensorShapeProto,
        dim=st.lists(
            st.builds(tensor_shape_pb2.TensorShapeProto.Dim, size=st.integers(-1, 4) | st.just(2**62)), max_size=3
        ),
        unknown_rank=st.booleans(),
    ),
    tensor_content=st.binary(max_size=16),
    float_val=st.lists(st.floats(width=32), max_size=4),
    int_val=st.lists(st.integers(-(2**31), 2**31 - 1), max_size=4),
    int64_val=st.lists(st.integers(-(2**63), 2**63 - 1), max_size=4),
    uint64_val=st.lists(st.integers(0, 2**64 - 1), max_size=4),
    bool_val=st.lists(st.booleans(), max_size=4),
    string_val=st.lists(st.binary(max_size=4), max_size=4),
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(NAMES, TENSORS, st.dictionaries(NAMES, TENSORS, max_size=1), st.lists(NAMES, max_size=1))
def test_any_request_gets_a_documented_status(
    echo_stub: Any, signature: str, tensor: Any, others: dict[str, Any], wanted: list[str]
) -> None:
    """No crash, and no mistake of the server. Most signatures of the model have one input, which has their name."""
    message = predict_pb2.PredictRequest(inputs={signature: tensor, **others}, output_filter=wanted)
    message.model_spec.name, message.model_spec.signature_name = "echo", signature
    try:
        echo_stub.Predict(message, timeout=30)
    except grpc.RpcError as error:
        status = error.code().name
    else:
        status = "OK"
    assert status in ("OK", "INVALID_ARGUMENT", "FAILED_PRECONDITION", "UNIMPLEMENTED")


def test_bytes_that_are_no_message_are_refused(half: Client) -> None:
    """As the client's mistake."""
    with grpc.insecure_channel(half.rpc_address) as channel:
        call = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        assert refusal(call, b"\xff") == ("INVALID_ARGUMENT", "the request is no message of this method")


def test_a_mistake_of_the_server_tells_nothing_of_it(
    half: Client, prediction: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The status is INTERNAL; what happened is in the log."""

    def broken(*_: object) -> None:
        raise KeyError("a secret")

    monkeypatch.setattr(Manager, "find", broken)

    assert refusal(prediction.Predict, request("half")) == ("INTERNAL", "internal error; the server's log says more")
    assert "a secret" in caplog.text


def test_the_metadata_has_the_signatures(prediction: Any) -> None:
    """`signature_def`, the only field there is."""
    message = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    message.model_spec.name = "half"
    response = prediction.GetModelMetadata(message, timeout=30)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    assert signatures.signature_def["serving_default"].inputs["x"].dtype == types_pb2.DT_FLOAT

    message.metadata_field[:] = ["other"]
    assert refusal(prediction.GetModelMetadata, message) == (
        "INVALID_ARGUMENT",
        "Metadata field other is not supported",
    )


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Serves a model with signatures that classify and regress."""
    folder = tmp_path_factory.mktemp("examples")
    examples_model(folder / "1")
    with running("--model_name=examples", f"--model_base_path={folder}") as client:
        yield client


def test_examples_are_classified_and_regressed(examples: Client) -> None:
    """Over both interfaces; what the examples share comes from the context."""
    body = {"context": {"y": 10.0}, "examples": [{"x": 1.0, "z": True}, {"x": 2.0, "y": 0.5, "z": [1, False]}]}
    regress = {"signature_name": "regress", **body}
    classify = {"signature_name": "classify", **body}
    assert examples.post("/v1/models/examples:regress", regress) == (200, {"results": [11.0, 2.5]})
    assert examples.post("/v1/models/examples:classify", classify) == (
        200,
        {"results": [[["low", -11.0], ["high", 11.0]], [["low", -2.5], ["high", 2.5]]]},
    )

    with grpc.insecure_channel(examples.rpc_address) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        message = regression_pb2.RegressionRequest()
        message.model_spec.name = "examples"
        message.model_spec.signature_name = "regress"
        feature = message.input.example_list.examples.add().features.feature
        feature["x"].float_list.value.append(1.5)
        feature["y"].float_list.value.append(0.25)
        assert [each.value for each in stub.Regress(message, timeout=30).result.regressions] == [1.75]

        asked = classification_pb2.ClassificationRequest(input=message.input)
        asked.model_spec.name = "examples"
        asked.model_spec.signature_name = "classify"
        (found,) = stub.Classify(asked, timeout=30).result.classifications
        assert [(each.label, each.score) for each in found.classes] == [("low", -1.75), ("high", 1.75)]

        both = inference_pb2.MultiInferenceRequest(input=message.input)
        for name in ("classify", "regress"):
            task = both.tasks.add(method_name=f"tensorflow/serving/{name}")
            task.model_spec.CopyFrom(asked.model_spec)
            task.model_spec.signature_name = name
        answer = stub.MultiInference(both, timeout=30)
        assert answer.results[0].classification_result.classifications[0] == found
        assert answer.results[1].regression_result.regressions[0].value == 1.75

        asked.model_spec.signature_name = "regress"
        assert refusal(stub.Classify, asked) == (
            "INVALID_ARGUMENT",
            f"Expected classification signature method_name to be {CLASSIFY}. Was: {REGRESS}",
        )


@pytest.mark.parametrize(
    ("examples_body", "error"),
    [
        ({}, "When method is classify, key 'examples' is expected and was not found"),
        ({"examples": 1}, "Expecting 'examples' value to be an list/array"),
        ({"examples": []}, "'examples' value is an empty array"),
    ],
)
def test_examples_must_be_a_list(examples: Client, examples_body: Any, error: str) -> None:
    """Of at least one."""
    status, answer = examples.post("/v1/models/examples:classify", {"signature_name": "classify", **examples_body})

    assert (status, answer["error"].endswith(error)) == (400, True)


@pytest.mark.parametrize(
    ("example", "error"),
    [
        (1, "Example must be JSON object but got JSON Number"),
        ({"x": None}, "Feature: x has element with unexpected JSON type: Null"),
        ({"x": [[1]]}, "Feature: x has element with unexpected JSON type: Array"),
        ({"x": {"a": 1}}, "Feature: x has element with unexpected JSON type: Object"),
        ({"x": [1.0, 1]}, "Unexpected element type in feature: x expecting type: float"),
        ({"x": 2**63}, "Feature: x has uint64_t element. Only int64_t is supported."),
    ],
)
def test_a_feature_that_is_wrong_is_named(examples: Client, example: Any, error: str) -> None:
    """With TensorFlow Serving's words."""
    body = {"signature_name": "classify", "examples": [example]}

    assert examples.post("/v1/models/examples:classify", body) == (400, {"error": error})


def test_the_status_and_a_new_configuration(models: Path, tmp_path: Path) -> None:
    """ModelService tells what is served, and serves something else when told to."""
    half_plus(tmp_path / "other" / "5", 1.0)
    with (
        running("--model_name=half", f"--model_base_path={models / 'half'}") as client,
        grpc.insecure_channel(client.rpc_address) as channel,
    ):
        stub = model_service_pb2_grpc.ModelServiceStub(channel)
        asked = get_model_status_pb2.GetModelStatusRequest()
        assert refusal(stub.GetModelStatus, asked) == ("INVALID_ARGUMENT", "Missing ModelSpec")
        asked.model_spec.name = "half"
        (version,) = stub.GetModelStatus(asked, timeout=30).model_version_status
        assert (version.version, version.state, version.status.error_code) == (2, version.AVAILABLE, 0)

        reload = model_management_pb2.ReloadConfigRequest()
        model = reload.config.model_config_list.config.add(name="other", base_path=str(tmp_path / "other"))
        model.model_platform = "tensorflow"
        assert stub.HandleReloadConfigRequest(reload, timeout=60).status.error_code == 0
        assert client.post("/v1/models/other:predict", {"instances": [2]}) == (200, {"predictions": [2.0]})
        assert client.post("/v1/models/half:predict", {"instances": [2]})[0] == 404

        model.version_labels["stable"] = 6
        assert refusal(stub.HandleReloadConfigRequest, reload) == (
            "FAILED_PRECONDITION",
            'Request to set label "stable" of model other to version 6, which is not available',
        )
