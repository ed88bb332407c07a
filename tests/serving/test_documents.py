"""docs/serving.md names every flag, and its examples are answered."""

import argparse
import re

import pytest
import yaml

from serving.flags import build_parser
from tests.projects import REPOSITORY
from tests.serving.running import Client

_TEXT = (REPOSITORY / "docs" / "serving.md").read_text()


def test_every_flag_is_documented() -> None:
    """And no other."""
    flags = {
        option
        for action in build_parser()._actions
        if action.help is not argparse.SUPPRESS
        for option in action.option_strings
        if option not in ("-h", "--help")
    }

    table = _TEXT[_TEXT.index("## Flags") : _TEXT.index("## What differs")]
    assert set(re.findall(r"`(--[a-z_]+)`", table)) == flags


def test_the_request_of_the_document_is_answered(half: Client) -> None:
    """The line with `curl`."""
    (body, path) = re.findall(r"curl -d '(.*)' http://localhost:8501(\S+)", _TEXT)[0]

    assert half.send("POST", path, body.encode()) == (200, b'{"predictions":[3.5,4.0,5.5]}')


@pytest.mark.parametrize("path", re.findall(r"^\| `GET (\S+)`", _TEXT, flags=re.MULTILINE))
def test_the_addresses_of_the_document_are_there(half: Client, path: str) -> None:
    """Each can be looked at."""
    assert half.send("GET", path.replace("NAME", "half"))[0] == 200


def test_the_description_for_programs_is_true(half: Client) -> None:
    """Every address that it has is there, and answers with a status that it names; the only model is well asked."""
    described = yaml.safe_load((REPOSITORY / "docs" / "serving-openapi.yaml").read_text())
    statuses = {}
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            asked = path.format(name="half", version=2, label="none")
            status, answer = half.send(method.upper(), asked, b'{"instances": [1.0]}' if method == "post" else None)
            assert str(status) in operation["responses"], (asked, status, answer)
            assert not answer.startswith(b'{"error":"No handler')
            assert b"Malformed request" not in answer
            statuses[path] = status
    assert [path for path, status in statuses.items() if status != 200] == [
        "/v1/models/{name}/labels/{label}:predict",
        "/v1/models/{name}:classify",
        "/v1/models/{name}:regress",
    ]
