"""What `wf.toml` may say."""

from pathlib import Path

import pytest

from wf.errors import InvalidWorkflow
from wf.settings import DockerSettings, Settings, load_settings


def test_a_project_without_settings_has_the_defaults(tmp_path: Path) -> None:
    """No file is as good as an empty one."""
    assert load_settings(tmp_path, {}) == Settings()


def test_everything_that_can_be_set(tmp_path: Path) -> None:
    """Base images, build arguments and a CA bundle beside the file."""
    (tmp_path / "ca.pem").touch()
    (tmp_path / "wf.toml").write_text(
        '[docker]\nbase-images = ["a", "b"]\nbuild-args = {X = "y"}\n[network]\nca-bundle = "ca.pem"\n'
        '[run]\nlog-limit = "100MiB"\n'
    )
    assert load_settings(tmp_path, {}) == Settings(
        DockerSettings(("a", "b"), {"X": "y"}), ca_bundle=tmp_path / "ca.pem", log_limit=100 << 20
    )


def test_aliases_of_images_keep_their_order(tmp_path: Path) -> None:
    """The first that matches is to win, so the order of the file is the order of the table."""
    (tmp_path / "wf.toml").write_text('[images]\n"z/*" = "one"\n"a/*" = "two"\n"*" = "three"\n')
    assert list(load_settings(tmp_path, {}).images.items()) == [("z/*", "one"), ("a/*", "two"), ("*", "three")]


def test_the_environment_names_the_base_image(tmp_path: Path) -> None:
    """WF_BASE_IMAGE wins over the file."""
    (tmp_path / "wf.toml").write_text('[docker]\nbase-images = ["a"]\n')
    assert load_settings(tmp_path, {"WF_BASE_IMAGE": "mine"}).docker.base_images == ("mine",)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[dockr]\n", "1:2: unknown table `dockr` (known: docker, images, network, run)"),
        (
            '[docker]\nbase-image = "a"\n',
            "2:1: unknown key in [docker] `base-image` (known: base-images, base-bootstrap, build-args)",
        ),
        ('[docker]\nbase-images = "a"\n', "2:1: `base-images` is not a list of strings"),
        ("[docker]\nbuild-args = {X = 1}\n", "2:1: `build-args` is not a table of strings"),
        ('[run]\nlog-limit = "much"\n', "2:1: `log-limit` is no size (write one such as 100MiB)"),
        ("docker = 1\n", "1:1: `docker` is not a table"),
        ("[docker]\n\nx x\n", "3:3: not valid TOML: Expected '=' after a key in a key/value pair"),
    ],
)
def test_mistakes_are_shown_at_their_place(tmp_path: Path, text: str, problem: str) -> None:
    """Every mistake names its line and column, and what would be right."""
    (tmp_path / "wf.toml").write_text(text)
    with pytest.raises(InvalidWorkflow) as caught:
        load_settings(tmp_path, {})
    (found,) = caught.value.problems
    assert found.span is not None
    hint = f" ({found.hint})" if found.hint else ""
    assert f"{found.span.line}:{found.span.column}: {found.message}{hint}" == problem


def test_a_ca_bundle_that_is_missing_is_named(tmp_path: Path) -> None:
    """A path in the settings is relative to them, and must lead somewhere."""
    (tmp_path / "wf.toml").write_text('[network]\nca-bundle = "nowhere.pem"\n')
    with pytest.raises(InvalidWorkflow) as caught:
        load_settings(tmp_path, {})
    assert str(caught.value) == f"`ca-bundle` names {tmp_path / 'nowhere.pem'}, which is not a file"
