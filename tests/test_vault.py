"""`wf.vault`: where a project keeps what is secret."""

from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends.null import Keyring as NoKeyring
from keyring.errors import KeyringLocked

from wf.errors import EnvironmentProblem, InvalidWorkflow
from wf.vault import Vault

HARD = "a \"quoted\" \\ back\\nslash, two\nlines\r\n'and' # more = \u2028 ü "


class Drawer(KeyringBackend):
    """A keyring in memory."""

    priority = 5
    locked = False

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        """Look."""
        if self.locked:
            raise KeyringLocked("a text with a secret in it")
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        """Keep."""
        self.kept[service, username] = password


@pytest.fixture(autouse=True)
def before() -> Iterator[None]:
    """The keyring of this machine, if it has one, stays out of it."""
    real = keyring.get_keyring()
    keyring.set_keyring(NoKeyring())  # type: ignore[no-untyped-call]
    yield
    keyring.set_keyring(real)


@pytest.fixture
def drawer() -> Drawer:
    """A keyring."""
    drawer = Drawer()
    keyring.set_keyring(drawer)
    return drawer


def test_without_a_keyring_a_private_file_is_used(tmp_path: Path) -> None:
    """A backend of the library that keeps nothing is no keyring. What is kept comes back to the letter."""
    vault = Vault(tmp_path, "secrets")

    assert vault.keep("HARD", HARD) == f"{tmp_path.name}/secrets.env"
    assert vault.keep("my-key.1", "x") == f"{tmp_path.name}/secrets.env"

    assert (vault.get("HARD"), vault.get("my-key.1"), vault.get("none")) == (HARD, "x", None)
    assert [path.name for path in tmp_path.iterdir()] == ["secrets.env"]
    assert (tmp_path / "secrets.env").stat().st_mode & 0o777 == 0o600


def test_the_file_may_be_written_by_hand_too(tmp_path: Path) -> None:
    """Comments and other lines stay as they are when a value changes or goes."""
    path = tmp_path / "secrets.env"
    path.write_text("# mine\nexport A='1'\nB=2\n\nC=3\n")
    path.chmod(0o600)
    vault = Vault(tmp_path, "secrets")

    vault.keep("A", "one")
    assert vault.forget("B")
    assert not vault.forget("B")

    assert path.read_text() == '# mine\n\nC=3\nA="one"\n'
    assert vault.names() == {"A": f"{tmp_path.name}/secrets.env", "C": f"{tmp_path.name}/secrets.env"}


def test_a_file_that_others_can_read_is_not_added_to(tmp_path: Path) -> None:
    """It is refused and stays as it is."""
    (tmp_path / "secrets.env").write_text("A=1\n")
    (tmp_path / "secrets.env").chmod(0o644)

    with pytest.raises(EnvironmentProblem, match="other users can read"):
        Vault(tmp_path, "secrets").keep("B", "2")

    assert (tmp_path / "secrets.env").read_text() == "A=1\n"
    assert len(list(tmp_path.iterdir())) == 1


def test_names_are_checked(tmp_path: Path) -> None:
    """A name that no workflow could write is refused."""
    with pytest.raises(InvalidWorkflow, match="`my key` cannot be a name here"):
        Vault(tmp_path, "secrets").keep("my key", "x")


def test_a_keyring_comes_first(tmp_path: Path, drawer: Drawer) -> None:
    """With one, values go there and no file holds them any more; each kind and project is one entry of it."""
    (tmp_path / "secrets.env").write_text("A=old\nB=2\n")
    (tmp_path / "secrets.env").chmod(0o600)
    vault = Vault(tmp_path, "secrets")

    assert vault.keep("A", HARD) == "keyring"

    assert vault.get("A") == HARD
    assert vault.names() == {"A": "keyring", "B": f"{tmp_path.name}/secrets.env"}
    assert (tmp_path / "secrets.env").read_text() == "B=2\n"
    assert Vault(tmp_path, "registries").names() == {}
    assert Vault(tmp_path / "elsewhere" / ".wf", "secrets").names() == {}
    assert len(drawer.kept) == 1
    assert vault.forget("A")
    assert vault.names() == {"B": f"{tmp_path.name}/secrets.env"}


def test_a_locked_keyring(tmp_path: Path, drawer: Drawer) -> None:
    """It is an error that repeats nothing of what the keyring said."""
    drawer.locked = True

    with pytest.raises(EnvironmentProblem) as caught:
        Vault(tmp_path, "secrets").get("A")

    assert str(caught.value) == "the keyring does not answer: KeyringLocked"
