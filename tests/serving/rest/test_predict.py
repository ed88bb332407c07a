"""Predictions over REST: TensorFlow Serving's documented examples, and every way in which a body can be wrong."""

from typing import Any

import pytest

from tests.serving.running import Client

HALF = "/v1/models/half:predict"
ECHO = "/v1/models/echo:predict"


def test_rows_of_one_input_are_bare_values(half: Client) -> None:
    """The first example of the documentation."""
    assert half.post(HALF, {"instances": [1.0, 2.0, 5.0]}) == (200, {"predictions": [3.5, 4.0, 5.5]})


def test_rows_may_be_objects_of_one_input(half: Client) -> None:
    """The name may be written."""
    assert half.post(HALF, {"instances": [{"x": 1.0}, {"x": 2}]}) == (200, {"predictions": [3.5, 4.0]})


def test_columns_of_one_input_are_a_bare_list(half: Client) -> None:
    """The columnar format without its only name."""
    assert half.post(HALF, {"inputs": [1.0, 2.0]}) == (200, {"outputs": [3.5, 4.0]})
    assert half.post(HALF, {"inputs": {"x": [1.0, 2.0]}}) == (200, {"outputs": [3.5, 4.0]})


def test_a_signature_and_a_version_are_named(half: Client) -> None:
    """Version in the URL, signature in the body."""
    body = {"signature_name": "serving_default", "instances": [1.0]}

    assert half.post("/v1/models/half/versions/2:predict", body) == (200, {"predictions": [3.5]})


ROW = {
    "text": "a\u00e9",
    "flag": True,
    "tiny": -128,
    "byte": 255,
    "short": -(2**31),
    "long": 2**63 - 1,
    "natural": 2**64 - 1,
    "single": 0.2,
    "double": 0.1,
}


def test_every_type_comes_back_as_it_was_sent(echoing: Client) -> None:
    """As rows and as columns; single precision shows no digits that it does not have."""
    columns = {name: [value] for name, value in ROW.items()}

    assert echoing.post(ECHO, {"instances": [ROW, ROW]}) == (200, {"predictions": [ROW, ROW]})
    assert echoing.post(ECHO, {"inputs": columns}) == (200, {"outputs": columns})


@pytest.mark.parametrize("name", ROW)
def test_every_type_may_be_nested(echoing: Client, name: str) -> None:
    """Two dimensions, as padded lists have."""
    table = [[ROW[name]] * 3] * 2
    body = {"signature_name": f"{name}_table", "instances": table}

    assert echoing.post(ECHO, body) == (200, {"predictions": table})


def test_bytes_are_base64(echoing: Client) -> None:
    """In where they are no text; out where the output's name says bytes."""
    picture = {"b64": "/wD+"}

    answer = echoing.post(ECHO, {"signature_name": "picture_bytes", "instances": [picture, {"picture_bytes": picture}]})
    assert answer[0] == 400

    answer = echoing.post(ECHO, {"signature_name": "picture_bytes", "instances": [picture, {"b64": "AA"}]})
    assert answer == (200, {"predictions": [picture, {"b64": "AA=="}]})


def test_numbers_that_are_not_finite_pass_both_ways(half: Client) -> None:
    """As the tokens NaN and Infinity, which are no standard JSON."""
    status, body = half.send("POST", HALF, b'{"instances": [NaN, Infinity, -Infinity, 1]}')

    assert (status, body) == (200, b'{"predictions": [NaN, Infinity, -Infinity, 3.5]}')


def test_whole_numbers_stay_floats(half: Client) -> None:
    """4.0, not 4: clients take a list's type from its tokens."""
    assert half.send("POST", HALF, b'{"instances": [2]}') == (200, b'{"predictions":[4.0]}')


def test_a_scalar_has_columns_only(echoing: Client) -> None:
    """Without a first dimension there are no rows."""
    assert echoing.post(ECHO, {"signature_name": "scalar", "inputs": 1.5}) == (200, {"outputs": 1.5})
    assert echoing.post(ECHO, {"signature_name": "scalar", "instances": [1.5]}) == (
        400,
        {"error": "input `scalar` has shape [1], expected [] (-1: any size)"},
    )


def test_text_after_the_document_is_ignored(half: Client) -> None:
    """As TensorFlow Serving's parser does."""
    assert half.post(HALF, b'{"instances": [2]} and more') == (200, {"predictions": [4.0]})


def test_keys_that_nobody_knows_are_ignored(half: Client) -> None:
    """Beside the known ones."""
    assert half.post(HALF, {"instances": [2], "comment": "x"}) == (200, {"predictions": [4.0]})


ELEMENT = "Failed to process element: {} of 'instances' list. "
BOTH = "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist "
NOT_TEXT = "not formatted correctly. 'signature_name' key must be a string value."
UNKNOWN_INPUT = "Error: INVALID_ARGUMENT: JSON object: does not have named input: y"
WRONG_BODIES: list[tuple[Any, str]] = [
    (b"", "JSON Parse error: The document is empty"),
    (b"  ", "JSON Parse error: The document is empty"),
    (b"{", "JSON Parse error: Missing a name for object member. at offset: 1"),
    (b'{"instances": [1,]}', "JSON Parse error: Invalid value. at offset: 17"),
    (b'{"instances": ["\xff"]}', "JSON Parse error: Invalid encoding in string. at offset: 16"),
    (b'{"instances": ["\\ud800"]}', "JSON Parse error: The surrogate pair in string is invalid. at offset: 0"),
    (b"[1]", "JSON Value: [1] Is not object"),
    (b"[" * 100_000, "JSON Parse error: The document is nested too deeply."),
    ({}, "Missing 'inputs' or 'instances' key"),
    (
        {"instances": [1], "inputs": [1]},
        f'JSON Value: {{"instances": [1], "inputs": [1]}} {BOTH}',
    ),
    ({"instances": 1}, "JSON Value: {\"instances\": 1} Expecting 'instances' to be an list/array"),
    ({"instances": []}, "JSON Value: {\"instances\": []} No values in 'instances' array"),
    (
        {"signature_name": 1, "instances": [1]},
        f'JSON Value: {{"signature_name": 1, "instances": [1]}} {NOT_TEXT}',
    ),
    (
        {"signature_name": "other", "instances": [1]},
        'Serving signature name: "other" not found in signature def',
    ),
    (
        {"instances": ["a"]},
        ELEMENT.format(0) + 'Error: INVALID_ARGUMENT: JSON Value: "a" Type: String is not of expected type: float',
    ),
    (
        {"instances": [1, None]},
        ELEMENT.format(1) + "Error: INVALID_ARGUMENT: JSON Value: null Type: Null is not of expected type: float",
    ),
    (
        {"instances": [True]},
        ELEMENT.format(0) + "Error: INVALID_ARGUMENT: JSON Value: true Type: True is not of expected type: float",
    ),
    ({"instances": [1, [2]]}, ELEMENT.format(1) + "Error: INVALID_ARGUMENT: Expecting shape [] but got: [1]"),
    ({"instances": [[1], [1, 2]]}, ELEMENT.format(1) + "Error: INVALID_ARGUMENT: Expecting tensor size: 1 but got: 2"),
    ({"instances": [1, {"x": 1}]}, "Expecting value/list but got object at item 1 of input list"),
    ({"instances": [{"x": 1}, 1]}, "Expecting object but got list at item 1 of input list"),
    (
        {"instances": [{"y": 1}]},
        f"Failed to process element: 0 key: y of 'instances' list. {UNKNOWN_INPUT}",
    ),
    ({"instances": [{}]}, ELEMENT.format(0) + "JSON object: {} keys must be equal to: x"),
    ({"instances": [[1]]}, "input `x` has shape [1, 1], expected [-1] (-1: any size)"),
    ({"inputs": {"y": [1]}}, "Missing named input: x in 'inputs' object."),
    ({"inputs": "a"}, 'JSON Value: "a" Type: String is not of expected type: float'),
    ({"inputs": [1, [2]]}, "Encountered list at unexpected level: 1 expected < 1"),
    ({"inputs": [[1], 2]}, "JSON Value: 2 found at incorrect level: 2 in the JSON DOM. Expected at level: 2"),
    ({"inputs": [[1], [2, 3]]}, "Encountered list at unexpected size: 2 at level: 1 expected size: 1"),
    (b'{"inputs": ' + b"[" * 100 + b"]" * 100 + b"}", "lists are nested 100 deep, at most 32 are possible"),
    (b'{"inputs": 1' + b"0" * 5000 + b"}", "JSON Parse error: Number too big to be stored in double. at offset: 0"),
]


@pytest.mark.parametrize(("body", "error"), WRONG_BODIES)
def test_a_wrong_body_is_told_what_is_wrong_with_it(half: Client, body: Any, error: str) -> None:
    """With status 400 and TensorFlow Serving's words, where it has some."""
    assert half.post(HALF, body) == (400, {"error": error})


@pytest.mark.parametrize(
    ("signature", "value", "error"),
    [
        ("short", 2**31, "JSON Value: 2147483648 Type: Number is not of expected type: int32"),
        (
            "single",
            10**400,
            f"JSON Value: 1{'0' * 255} Type: Number is not of expected type: float",
        ),
        ("short", 1.0, "JSON Value: 1.0 Type: Number is not of expected type: int32"),
        ("tiny", 128, "JSON Value: 128 Type: Number is not of expected type: int8"),
        ("natural", -1, "JSON Value: -1 Type: Number is not of expected type: uint64"),
        ("flag", 1, "JSON Value: 1 Type: Number is not of expected type: bool"),
        ("text", 1, "JSON Value: 1 Type: Number is not of expected type: string"),
        ("text", {"b65": ""}, 'JSON Value: {"b65": ""} not formatted correctly for base64 data'),
        ("text", {"b64": "!"}, "Unable to base64 decode"),
        ("short", {"b64": "AA=="}, 'JSON Value: {"b64": "AA=="} Type: Object is not of expected type: int32'),
    ],
)
def test_a_value_of_the_wrong_type_is_named(echoing: Client, signature: str, value: Any, error: str) -> None:
    """Nothing is rounded, cut or guessed."""
    body = {"signature_name": signature, "inputs": {signature: [value]}}

    assert echoing.post(ECHO, body) == (400, {"error": error})


def test_objects_must_have_all_inputs(echoing: Client) -> None:
    """A row without one of several, and a plain list in place of objects."""
    body = {"signature_name": "pair", "instances": [{"a": 1, "b": [1, 2]}, {"a": 1}]}
    assert echoing.post(ECHO, body) == (
        400,
        {"error": ELEMENT.format(1) + 'JSON object: {"a": 1} keys must be equal to: a,b'},
    )
    needs = "is a plain {}, but expecting {} as multiple input tensors required as per tensorinfo_map"
    assert echoing.post(ECHO, {"instances": [1]}) == (
        400,
        {"error": f"instances {needs.format('list', 'list of objects')}"},
    )
    assert echoing.post(ECHO, {"inputs": [1]}) == (400, {"error": f"inputs {needs.format('value/list', 'an object')}"})


def test_a_fixed_size_is_kept(echoing: Client) -> None:
    """The message names the input, what it has and what it should have."""
    body = {"signature_name": "pair", "instances": [{"a": 1, "b": [1, 2, 3]}]}

    assert echoing.post(ECHO, body) == (400, {"error": "input `b` has shape [1, 3], expected [-1, 2] (-1: any size)"})


def test_rows_need_outputs_of_one_length(echoing: Client) -> None:
    """Columns do not."""
    columns = {"a": [1.0], "b": [1.0, 2.0]}

    assert echoing.post(ECHO, {"signature_name": "uneven", "inputs": columns}) == (200, {"outputs": columns})
