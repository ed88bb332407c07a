"""`wf.secrets`: where secrets come from."""

from pathlib import Path

import pytest

from wf.errors import EnvironmentProblem
from wf.plan import SecretRef
from wf.secrets import load_secrets
from wf.vault import read_env_file

TOKEN = SecretRef("TOKEN")


def _project_file(folder: Path, text: str, mode: int = 0o600) -> None:
    path = folder / "secrets.env"
    path.write_text(text)
    path.chmod(mode)


def test_order_of_sources(tmp_path: Path) -> None:
    """A variable comes before the file that was given, and that before the project's own file."""
    _project_file(tmp_path, "A=project\nB=project\nC=project\n")
    given = tmp_path / "given.env"
    given.write_text("A=given\nB=given\n")

    secrets = load_secrets(tmp_path, environ={"WF_SECRET_A": "variable"}, env_file=given)

    assert secrets.resolve([SecretRef(name) for name in "ABC"]) == {"A": "variable", "B": "given", "C": "project"}


def test_name_that_no_variable_can_have(tmp_path: Path) -> None:
    """For a secret `my-key` the variable is WF_SECRET_MY_KEY."""
    secrets = load_secrets(tmp_path, environ={"WF_SECRET_MY_KEY": "x"})

    assert secrets.resolve([SecretRef("my-key")]) == {"my-key": "x"}


def test_missing_ones_are_named_together(tmp_path: Path) -> None:
    """All secrets that are not set are in one error, with what to do; optional ones are left out."""
    secrets = load_secrets(tmp_path, environ={"WF_SECRET_B": "x"})
    wanted = [SecretRef("D"), SecretRef("A"), SecretRef("B"), SecretRef("C", optional=True), SecretRef("A")]

    with pytest.raises(EnvironmentProblem) as caught:
        secrets.resolve(wanted)

    assert str(caught.value) == "secrets `A`, `D` are not set"
    assert caught.value.hint == (
        "Run `wf secrets set A`, set the variable WF_SECRET_A, or write a line A=... into a file for --secrets FILE."
    )
    assert secrets.resolve(wanted[2:4]) == {"B": "x"}


def test_one_missing(tmp_path: Path) -> None:
    """A single missing secret is spoken of in the singular."""
    with pytest.raises(EnvironmentProblem, match=r"^secret `TOKEN` is not set$"):
        load_secrets(tmp_path, environ={}).resolve([TOKEN])


def test_readable_by_others(tmp_path: Path) -> None:
    """The project's file is refused while others can read it, with the command that mends it."""
    _project_file(tmp_path, "TOKEN=x", 0o640)

    with pytest.raises(EnvironmentProblem) as caught:
        load_secrets(tmp_path, environ={}).resolve([TOKEN])

    assert str(caught.value) == f"other users can read the secrets in {tmp_path}/secrets.env"
    assert caught.value.hint == f"Run: chmod 600 {tmp_path}/secrets.env"


def test_only_what_is_needed_is_looked_up(tmp_path: Path) -> None:
    """What comes first is enough: a project's own file that cannot be read is then no matter."""
    _project_file(tmp_path, "TOKEN=x", 0o640)

    assert load_secrets(tmp_path, environ={"WF_SECRET_TOKEN": "v"}).resolve([TOKEN]) == {"TOKEN": "v"}


def test_env_file(tmp_path: Path) -> None:
    """Comments, blank lines, `export`, quotes and escapes are read as in a .env file."""
    path = tmp_path / "s.env"
    path.write_text(
        '# comment\n\nA=1\nexport B = two words \nC=\'  kept \\n \'\nD="line\\nline \\"q\\""\nE=a=b#c\nF=\n'
    )

    assert read_env_file(path) == {
        "A": "1",
        "B": "two words",
        "C": "  kept \\n ",
        "D": 'line\nline "q"',
        "E": "a=b#c",
        "F": "",
    }


def test_bad_line_is_not_shown(tmp_path: Path) -> None:
    """A line that is not NAME=value is named by its number: it may be a secret itself."""
    path = tmp_path / "s.env"
    path.write_text("A=1\nhunter2\n")

    with pytest.raises(EnvironmentProblem) as caught:
        read_env_file(path)

    assert str(caught.value) == f"{path}:2 is not of the form NAME=value"


def test_file_that_is_not_there(tmp_path: Path) -> None:
    """A secrets file that was given and does not exist is an error."""
    with pytest.raises(EnvironmentProblem, match="there is no secrets file"):
        load_secrets(tmp_path, environ={}, env_file=tmp_path / "none")
