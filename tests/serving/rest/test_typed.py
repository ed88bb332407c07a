"""Requests of many plain rows: the short way gives what the general one gives, or leaves them to it."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from serving.rest import decode
from serving.rest.parse import parse_object
from serving.rest.typed import TypedRows
from serving.signatures import TensorSpec
from tests.fuzz import typed
from tests.fuzz.typed import READER, ROW, SPECS, content, specs
from tests.serving.running import Client

ODD: list[Any] = [
    *(None, True, 0, -1, 1.0, 1.5, 127, 128, 2**31, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 10**30, 10**400),
    *(
        -0.0,
        1e-45,
        3.5e38,
        1e308,
        float("nan"),
        float("inf"),
        "",
        "1",
        "\0",
        "\u4e16",
        "\U0001f600",
        "\ud800",
        "a" * 99,
    ),
    *([], [1], {}, {"b64": "AA=="}, {"text": "a"}, [["a"]]),
]


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Rows with some odd values and keys, as JSON in one of its writings, with a few bytes changed."""
    rows: list[Any] = [dict(ROW) for _ in range(draw(st.integers(0, 3)))]
    for _ in range(draw(st.integers(0, 2))):
        row = draw(st.sampled_from(rows)) if rows else {}
        row[draw(st.sampled_from([*SPECS, "unknown", "b64"]))] = draw(
            st.sampled_from(ODD) | st.integers() | st.floats() | st.text('a\u00e9\0"\\\u4e16')
        )
    if rows and draw(st.integers(0, 5)) == 0:
        del rows[-1][draw(st.sampled_from(list(rows[-1])))]
    if draw(st.integers(0, 5)) == 0:
        rows.append(draw(st.sampled_from(ODD)))
    document = {"instances": rows}
    if draw(st.integers(0, 5)) == 0:
        document[draw(st.sampled_from(["signature_name", "inputs", "other"]))] = draw(
            st.sampled_from(["", "x", [], rows])
        )
    text = json.dumps(document, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 1])))
    body = text.encode(errors="surrogatepass")
    if draw(st.integers(0, 3)) == 0:
        place = draw(st.integers(0, len(body) - 1))
        piece = draw(st.binary(max_size=2) | st.sampled_from([b'"', b",", b"-0", b"1e5", b"\\u0061", b"}", b"]"]))
        body = body[:place] + piece + body[place + draw(st.integers(0, 2)) :]
    return body


def row_with(name: str, text: str) -> bytes:
    """A request for one row, of which one value is written so."""
    return json.dumps({"instances": [{**ROW, name: "@"}]}).replace('"@"', text).encode()


@settings(deadline=None)  # a busy machine is no failure
@np.errstate(over="ignore")  # as the server has it
@given(bodies())
@example(row_with("flag", "false"))
@example(row_with("single", "-0"))
@example(row_with("single", "1e400"))
@example(row_with("single", "123456789012345678901234567890.5"))
@example(row_with("double", "18446744073709551615"))
@example(row_with("double", "9007199254740993"))
@example(row_with("double", "-1e-400"))
@example(row_with("long", "-0"))
@example(row_with("long", "1e2"))
@example(row_with("natural", "18446744073709551616"))
@example(row_with("text", '"a", "text": "b"'))
@example(row_with("text", '1, "text": "b"'))
@example(row_with("text", '"a", "te\\u0078t": "b"'))
@example(row_with("text", '"\\ud83d\\ude00"'))
@example(row_with("text", '"\\ud800"'))
@example(b'{"instances": [1], ' + row_with("flag", "false")[1:])
@example(row_with("flag", "false") + b" x")
@example(b"\xef\xbb\xbf" + row_with("flag", "false"))
def test_both_ways_agree(body: bytes) -> None:
    """Whatever the short way reads is read alike by the general one."""
    typed.check(body)


def test_plain_rows_go_the_short_way() -> None:
    """Whatever the order of their keys; and not what is otherwise."""
    assert READER
    turned = dict(reversed(ROW.items()))
    body = json.dumps({"instances": [ROW, turned]}).encode()

    assert content(READER.decode(body) or {}) == content(decode.decode(parse_object(body), SPECS)[0])
    assert READER.decode(b'{"instances": []}') is None
    assert READER.decode(row_with("text", '{"b64": "AA=="}')) is None
    assert READER.decode(row_with("double", "true")) is None
    assert READER.decode(json.dumps({"instances": [ROW], "signature_name": "serving_default"}).encode()) is None


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        specs(x="half"),
        {"x": TensorSpec("x", "x", "float", (-1, 2))},
        {"x": TensorSpec("x", "x", "float", None)},
        specs(**{'"': "float"}),
    ],
    ids=["none", "no type of JSON", "lists", "any rank", "a quote"],
)
def test_other_signatures_have_no_short_way(inputs: dict[str, TensorSpec]) -> None:
    """Their requests are read by the general one."""
    assert TypedRows.of(inputs) is None


def test_large_requests_are_answered_either_way(half: Client) -> None:
    """Plain rows, rows with one that is not plain, and one that is wrong, whose place is told; and no such model."""
    path, rows = "/v1/models/half:predict", [{"x": float(number)} for number in range(500)]
    answers = [number / 2 + 3 for number in range(500)]
    wrong = (
        "Failed to process element: 499 key: x of 'instances' list. Error: INVALID_ARGUMENT: JSON Value: true Type: "
        "True is not of expected type: float"
    )

    assert half.post(path, {"instances": rows}) == (200, {"predictions": answers})
    assert half.post(path, {"instances": [*rows[:-1], {"x": 499}]}) == (200, {"predictions": answers})
    assert half.post(path, {"signature_name": "serving_default", "instances": rows}) == (200, {"predictions": answers})
    assert half.post(path, {"instances": [*rows[:-1], {"x": True}]}) == (400, {"error": wrong})
    assert half.post("/v1/models/other:predict", {"instances": rows}) == (
        404,
        {"error": "Servable not found for request: Latest(other)"},
    )
