"""What REST tells of models: status, metadata, and what is not there."""

import json

import pytest

from tests.serving.running import Client


def version(number: int, state: str = "AVAILABLE", code: str = "OK", message: str = "") -> dict[str, object]:
    """One entry of a status."""
    return {"version": str(number), "state": state, "status": {"error_code": code, "error_message": message}}


def test_the_status_names_the_versions(half: Client) -> None:
    """Only the newest is served; all are told of when none is named."""
    expected = {"model_version_status": [version(2)]}

    assert half.get("/v1/models/half") == (200, expected)
    assert half.get("/v1/models/half/versions/2") == (200, expected)


def test_the_metadata_has_the_signatures(half: Client) -> None:
    """With the protos' own names, and defaults written."""
    status, document = half.get("/v1/models/half/metadata")

    assert status == 200
    assert document["model_spec"] == {"name": "half", "signature_name": "", "version": "2"}
    signature = document["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["method_name"] == "tensorflow/serving/predict"
    assert signature["inputs"]["x"] == {
        "dtype": "DT_FLOAT",
        "tensor_shape": {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False},
        "name": "serving_default_x:0",
    }


@pytest.mark.parametrize(
    ("method", "path", "status", "error"),
    [
        ("GET", "/v1/models/other", 404, "Could not find any versions of model other"),
        ("GET", "/v1/models/half/versions/3", 404, "Could not find version 3 of model half"),
        ("GET", "/v1/models/half/labels/stable", 400, "Unrecognized servable version label: stable"),
        ("GET", "/v1/models/half/versions/3/metadata", 404, "Servable not found for request: Specific(half, 3)"),
        ("GET", "/v1/models", 400, "Missing model name in request."),
        ("GET", "/v1/models/half/versions/x", 400, "Malformed request: GET /v1/models/half/versions/x"),
        (
            "GET",
            "/v1/models/half/versions/9223372036854775808",
            400,
            "Failed to convert version: 9223372036854775808 to numeric.",
        ),
        ("GET", "/v1/models/half:predict", 400, "Malformed request: GET /v1/models/half:predict"),
        ("POST", "/v1/models/half", 400, "Malformed request: POST /v1/models/half"),
        ("POST", "/v1/models/half:guess", 400, "Malformed request: POST /v1/models/half:guess"),
        ("PUT", "/v1/models/half:predict", 400, "Malformed request: PUT /v1/models/half:predict"),
        ("POST", "/v1/models/other:predict", 404, "Servable not found for request: Latest(other)"),
        ("POST", "/v1/models/half/versions/1:predict", 404, "Servable not found for request: Specific(half, 1)"),
        ("POST", "/v1/models/half/labels/a%20b:predict", 400, "Unrecognized servable version label: a b"),
        ("GET", "/elsewhere", 404, "No handler for: GET /elsewhere"),
    ],
)
def test_what_is_not_there_is_named(half: Client, method: str, path: str, status: int, error: str) -> None:
    """With TensorFlow Serving's status and words."""
    body = None if method == "GET" else b'{"instances": [1.0]}'

    answered, text = half.send(method, path, body)

    assert (answered, json.loads(text)) == (status, {"error": error})


def test_names_are_decoded_and_paths_ignore_case(half: Client) -> None:
    """As the patterns of the interface say."""
    assert half.post("/V1/Models/h%61lf:predict", {"instances": [2]}) == (200, {"predictions": [4.0]})
