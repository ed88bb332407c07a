"""`wf.cache`: what makes two executions the same, and the sentences for what does not."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from wf.cache import CacheKey, explain

KEY = CacheKey(
    image="sha256:1",
    entrypoint=None,
    command=("python", "-m", "steps.train"),
    parameters={"learning_rate": 0.1, "source": Path("/data")},
    env={"SEED": "1"},
    secrets=("COMET_API_KEY",),
    inputs={"ratings": "aa"},
    outputs={"model": "volume"},
    code={"steps/train.py": "cc"},
)


def test_equal_keys() -> None:
    """Equal keys have one digest, whatever the order of their names, and nothing to explain."""
    same = replace(KEY, parameters={"source": Path("/data"), "learning_rate": 0.1})

    assert KEY.digest == same.digest
    assert explain(KEY, same.to_json()) == []


@pytest.mark.parametrize(
    ("now", "sentences"),
    [
        (replace(KEY, image="sha256:2"), ["the image changed"]),
        (replace(KEY, code={"steps/train.py": "dd"}), ["steps/train.py changed"]),
        (replace(KEY, code={}), ["steps/train.py is gone"]),
        (replace(KEY, files={"path": "ee"}), ["the file of with.path is new"]),
        (
            replace(KEY, parameters={}, command=("x",)),
            ["with.learning_rate 0.1 -> (unset)", 'with.source "/data" -> (unset)'],
        ),
        (replace(KEY, parameters={**KEY.parameters, "learning_rate": 0.05}), ["with.learning_rate 0.1 -> 0.05"]),
        (replace(KEY, parameters={"learning_rate": 0.1}), ['with.source "/data" -> (unset)']),
        (replace(KEY, env={"SEED": "1", "X": "y"}), ['env.X (unset) -> "y"']),
        (replace(KEY, inputs={"ratings": "bb"}), ["input ratings changed"]),
        (replace(KEY, inputs={"users": "aa"}), ["input ratings is gone", "input users is new"]),
        (replace(KEY, secrets=()), ["secret COMET_API_KEY is gone"]),
        (replace(KEY, extra="week 2"), ['cache.key "" -> "week 2"']),
        (replace(KEY, inputs_mode="ro"), ['inputs_mode "cow" -> "ro"']),
        (
            replace(KEY, parameters={**KEY.parameters, "learning_rate": "0.1" * 50}),
            [f'with.learning_rate 0.1 -> "{("0.1" * 50)[:76]}...'],
        ),
        (replace(KEY, outputs={"model": "dataset"}), ['outputs.model "volume" -> "dataset"']),
    ],
)
def test_differences(now: CacheKey, sentences: list[str]) -> None:
    """Each part that changed changes the digest and has its sentence."""
    assert now.digest != KEY.digest
    assert explain(now, KEY.to_json()) == sentences


def test_a_text_of_several_lines_shows_the_first_that_differs() -> None:
    """A script is seldom on one line."""
    before = replace(KEY, parameters={"script": "set -e\necho 1\necho 2"})
    shorter = replace(KEY, parameters={"script": "set -e"})

    assert explain(replace(KEY, parameters={"script": "set -e\necho 3\necho 2"}), before.to_json()) == [
        'with.script line 2: "echo 1" -> "echo 3"'
    ]
    assert explain(shorter, before.to_json()) == ['with.script line 2: "echo 1" -> (unset)']


def test_texts_are_shown_but_only_their_digests_count() -> None:
    """Where an older key has none, there is only the digest to compare."""
    before = replace(KEY, texts={"ratings": "few"})
    now = replace(KEY, inputs={"ratings": "bb"}, texts={"ratings": "many"})

    assert before.digest == KEY.digest
    assert explain(now, before.to_json()) == ['input ratings "few" -> "many"']
    assert explain(now, KEY.to_json()) == ["input ratings changed"]
    older = {name: value for name, value in KEY.to_json().items() if name != "texts"}
    assert explain(now, older) == ["input ratings changed"]
