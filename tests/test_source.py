"""Reading YAML with places, and pointing at them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wf.errors import InvalidWorkflow, Problem, Span
from wf.source import excerpt, load, parse, scalar

FILE = Path("workflow.yaml")


def messages(text: str) -> list[str]:
    """What parsing complains about."""
    with pytest.raises(InvalidWorkflow) as caught:
        parse(text, FILE)
    return [problem.message for problem in caught.value.problems]


@pytest.mark.parametrize("key", ["on", "'on'", '"on"'])
def test_both_forms_of_on_are_the_same_key(key: str) -> None:
    """`on:` is text, quoted or not."""
    assert parse(f"{key}: x\n", FILE).data == {"on": "x"}


def test_scalars_follow_yaml_1_2() -> None:
    """Only what YAML 1.2 calls numbers, truth values and nothing is not text."""
    text = "[yes, off, 2021-12-16, 1_000, 1:30, 010, 0x1f, 0o17, 2.5, 1e3, true, ~, null]"

    values = parse(text, FILE).data

    assert values == [
        "yes",
        "off",
        "2021-12-16",
        "1_000",
        "1:30",
        10,
        31,
        15,
        2.5,
        1000.0,
        True,
        None,
        None,
    ]


def test_every_value_has_its_place() -> None:
    """Spans count lines and columns from 1 and cover the text of a value."""
    document = parse("jobs:\n  A:\n    needs: [B, Clean]\n", FILE)

    assert document.span(("jobs", "A", "needs", 1)) == Span(FILE, 3, 16, 5)
    assert document.key_span(("jobs", "A", "needs")) == Span(FILE, 3, 5, 5)


def test_a_place_that_is_not_in_the_file_is_the_nearest_one_around_it() -> None:
    """Parts that the file does not have are left out."""
    document = parse("jobs:\n  A: {needs: x}\n", FILE)

    assert document.span(("jobs", "A", "io", "with", "ref")) == document.span(("jobs", "A"))


def test_text_keeps_a_scalar_as_it_is_written() -> None:
    """A number's own digits survive."""
    assert parse("a: 1.50\n", FILE).text(("a",)) == "1.50"


def test_merge_keys_fill_what_a_mapping_does_not_say() -> None:
    """`<<` adds the keys of an anchor without replacing any."""
    text = "base: &b {x: 1, y: 2}\njob: {<<: *b, y: 3}\n"

    assert parse(text, FILE).data["job"] == {"x": 1, "y": 3}


def test_a_mapping_with_merged_keys_stands_where_it_is_written() -> None:
    """Only what comes from the anchor stands there; of several that `<<` names, the first wins."""
    text = "a: &a {x: 1}\nb: &b {x: 2, y: 2}\njob: {<<: [*a, *b], z: 3}\n"

    document = parse(text, FILE)

    assert document.data["job"] == {"x": 1, "y": 2, "z": 3}
    lines = [document.span(("job", *key)).line for key in ((), ("x",), ("y",), ("z",))]
    assert lines == [3, 1, 2, 3]


def test_folded_text_is_kept_as_yaml_means_it() -> None:
    """A blank line in a folded block is a line end."""
    assert parse("s: >-\n  echo one\n\n  echo two\n", FILE).data == {"s": "echo one\necho two"}


def test_every_double_key_is_told() -> None:
    """Keys given twice are errors, each with its own."""
    assert messages("a: 1\nb: {c: 1, c: 2}\na: 2\n") == ["key `c` is given twice", "key `a` is given twice"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &x [*x]", "this refers to itself"),
        ("a: &x {b: [1, {c: *x}]}", "this refers to itself"),
        ("[" * 60 + "]" * 60, "this grows without bounds or is nested too deeply"),
        ("a: !!python/name:os.system x", "the tag `tag:yaml.org,2002:python/name:os.system` is not allowed"),
        ("a: -.inf", "`-.inf` is no finite number"),
        ("a: 1e999", "`1e999` is no finite number"),
        ("a: 0x" + "f" * 5000, f"`0x{'f' * 38}` is not a number"),
        ("a: !!binary aGk=", "the tag `tag:yaml.org,2002:binary` is not allowed"),
        ("a: \x07", "the character U+0007 is not allowed here"),
        ("", "`workflow.yaml` is empty"),
        ("{[1]: 2}", "a key must be text"),
    ],
)
def test_hostile_and_empty_files_are_refused(text: str, message: str) -> None:
    """Nothing in a file can make objects, loops or walls of data."""
    assert messages(text) == [message]


def test_a_billion_laughs_are_refused() -> None:
    """Aliases count with all that they stand for."""
    lines = ["l0: &l0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 10)]

    assert messages("\n".join(lines)) == ["this grows without bounds or is nested too deeply"]


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    """The path and the system's reason."""
    with pytest.raises(InvalidWorkflow) as caught:
        load(tmp_path / "none.yaml")

    assert str(caught.value) == f"cannot read `{tmp_path}/none.yaml`: No such file or directory"


@pytest.mark.parametrize("asked", ["train-model", "train_model.yaml", "workflows/train.yaml", "trainmodel.yml"])
def test_the_file_that_was_meant_is_named(asked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it lies in `workflows/`, or where it was looked for."""
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows/train-model.yaml").touch()
    (tmp_path / "wf.toml").touch()
    monkeypatch.chdir(tmp_path)

    with pytest.raises(InvalidWorkflow) as caught:
        load(Path(asked))

    assert [problem.hint for problem in caught.value.problems] == ["did you mean `workflows/train-model.yaml`?"]


def test_bytes_that_are_not_text_are_told_with_their_line(tmp_path: Path) -> None:
    """A file in another encoding is refused, not guessed."""
    path = tmp_path / "w.yaml"
    path.write_bytes(b"a: 1\nb: caf\xe9\n")

    with pytest.raises(InvalidWorkflow) as caught:
        load(path)

    assert caught.value.problems == [Problem("this is not UTF-8 text", Span(path, 2, 1))]


@pytest.mark.parametrize(
    ("text", "value"), [("5", 5), ("0.1", 0.1), ("[1, 2]", [1, 2]), ("a: b: c", "a: b: c"), ("", "")]
)
def test_one_value_is_read_as_in_a_file(text: str, value: object) -> None:
    """What is not YAML is plain text."""
    assert scalar(text) == value


def test_an_excerpt_points_at_the_place(tmp_path: Path) -> None:
    """Message, place, line, caret, hint."""
    path = tmp_path / "w.yaml"
    path.write_text("jobs:\n\tA: trian\n")

    text = excerpt(Problem("unknown step `trian`", Span(path, 2, 5, 5), "did you mean `train`?"))

    assert text == (
        f"error: unknown step `trian`\n --> {path}:2:5\n  |\n2 | \tA: trian\n  | \t   ^^^^^ did you mean `train`?"
    )


def test_an_excerpt_of_a_very_long_line_stays_short(tmp_path: Path) -> None:
    """The part around the place is shown."""
    path = tmp_path / "w.yaml"
    path.write_text("x" * 5000 + "HERE" + "y" * 5000)

    lines = excerpt(Problem("odd", Span(path, 1, 5001, 4))).splitlines()

    assert max(len(line) for line in lines[2:]) < 110
    assert lines[4].index("^") == lines[3].index("HERE")


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text makes the reader fail in another way."""
    try:
        parse(text, FILE)
    except InvalidWorkflow as error:
        assert error.exit_code == 2  # noqa: PT017 - either end is right
