"""The caller's file of values for inputs, in each shape of the format (§4.3)."""

from pathlib import Path

import pytest

from tests.projects import make_project
from wf.cli import main
from wf.errors import InvalidWorkflow
from wf.inputs import read_inputs
from wf.source import excerpt


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("epochs: {value: 5}", {"epochs": "5"}),
        ("data: {ref: 'movies:v2'}", {"data": "movies:v2"}),
        ("data: {id: ds1}", {"data": "ds1"}),
        ("epochs: {type: string, with: {value: '5'}}", {"epochs": "5"}),
        ("data: {type: dataset, with: {ref: movies}}", {"data": "movies"}),
        ("data: {type: dataset, with: {id: movies}}", {"data": "movies"}),
        ("inputs: {epochs: {value: 5}, data: {ref: movies}}", {"epochs": "5", "data": "movies"}),
        ("inputs: {value: 5}", {"inputs": "5"}),
        ('{"params": {"value": "{\\"a\\": 1}"}}', {"params": '{"a": 1}'}),
        ("epochs: 1e3", {"epochs": "1e3"}),
    ],
)
def test_s4_3_each_shape_is_read(tmp_path: Path, text: str, values: dict[str, str]) -> None:
    """YAML or JSON, wrapped or not; numbers as they are written."""
    path = tmp_path / "inputs.yaml"
    path.write_text(text)

    assert read_inputs(path) == values


def test_a_value_that_is_none_is_refused(tmp_path: Path) -> None:
    """With its place."""
    path = tmp_path / "inputs.yaml"
    path.write_text("epochs: {valeu: 5}\n")

    with pytest.raises(InvalidWorkflow) as caught:
        read_inputs(path)

    (problem,) = caught.value.problems
    assert excerpt(problem).splitlines()[0] == "error: the input `epochs` gets no value"
    assert problem.hint == "write `{value: TEXT}` or `{ref: DATASET}`"


def test_s4_3_set_wins_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the file over what the workflow says."""
    make_project(
        tmp_path,
        """
        inputs: {a: {type: string, with: {value: 1}}, b: {type: string, with: {value: 1}}, c: {type: string}}
        jobs: {A: {uses: container@v1, with: {image: x}}}
        """,
    )
    (tmp_path / "inputs.json").write_text('{"b": {"value": "2"}, "c": {"value": "2"}}')
    monkeypatch.chdir(tmp_path)

    assert main(["plan", "workflow.yaml", "--inputs", "inputs.json", "--set", "c=3"]) == 0

    assert "inputs  a=1, b=2, c=3" in capsys.readouterr().out
