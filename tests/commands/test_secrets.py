"""`wf secrets` and `wf registry`, and where a secret may be seen afterwards: nowhere."""

import base64
import contextlib
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest

from wf.backends.engine import find_engine
from wf.cli import main

PASSWORD = "planted/pa55 w0rd+of=me"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project, on a machine without a keyring."""
    (tmp_path / "wf.toml").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("wf.vault._Keyring.is_there", lambda _: False)
    return tmp_path


def give(monkeypatch: pytest.MonkeyPatch, value: bytes, *, terminal: bool = False) -> None:
    """What standard input holds."""
    stdin = SimpleNamespace(buffer=io.BytesIO(value), isatty=lambda: terminal)
    monkeypatch.setattr(sys, "stdin", stdin)


def test_a_secret_is_kept_listed_and_forgotten(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Names are shown with where they come from, values never; a variable wins over what is kept."""
    monkeypatch.setenv("WF_SECRET_B", "from outside")
    for name in "AB":
        give(monkeypatch, f"{PASSWORD}\n".encode())
        assert main(["secrets", "set", name, "--stdin"]) == 0

    assert main(["secrets", "list"]) == 0
    assert main(["secrets", "rm", "A"]) == 0
    assert main(["secrets", "rm", "A"]) == 2

    ended = capsys.readouterr()
    assert ended.out == (
        "`A` is kept in .wf/secrets.env\n"
        "`B` is kept in .wf/secrets.env\n"
        "name  from\n"
        "A     .wf/secrets.env\n"
        "B     variable WF_SECRET_B\n"
        "`A` is forgotten\n"
    )
    assert ended.err == (
        "error: this project keeps no secret `A`\n  `wf secrets list` shows which there are\n\n1 error\n"
    )
    assert (project / ".wf/secrets.env").read_text() == f'B="{PASSWORD}"\n'


def test_a_value_is_asked_for_without_being_shown(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """At a terminal; a short one is kept with a warning, as it cannot be masked."""
    give(monkeypatch, b"", terminal=True)
    monkeypatch.setattr("getpass.getpass", lambda prompt: {"value of PIN: ": "123"}[prompt])

    assert main(["secrets", "set", "PIN"]) == 0

    assert capsys.readouterr().err == (
        "warning: `PIN` has less than 4 characters: logs of jobs that print it show it\n"
    )


@pytest.mark.parametrize(
    ("words", "value", "message"),
    [
        (["A", "--stdin"], b"", "the value is empty, or no text"),
        (["A", "--stdin"], b"a\0b", "the value is empty, or no text"),
        (["A", "--stdin"], b"\xff", "what standard input holds is not UTF-8 text"),
        (["A"], b"x", "there is no terminal to ask at"),
        (["a b", "--stdin"], b"x", "`a b` cannot be a name here"),
    ],
)
def test_what_cannot_be_kept(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    value: bytes,
    message: str,
) -> None:
    """It is refused, and nothing is kept."""
    give(monkeypatch, value)

    assert main(["secrets", "set", *words]) == 2

    assert capsys.readouterr().err.startswith(f"error: {message}\n")
    assert not (project / ".wf/secrets.env").exists()


def test_looking_leaves_no_trace(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where nothing is kept, lists say so and make no folder."""
    assert main(["secrets", "list"]) == 0
    assert main(["registry", "list"]) == 0

    assert capsys.readouterr().out == "no secrets are set\nno accounts are kept\n"
    assert not (project / ".wf").exists()


def test_an_account_is_kept_listed_and_forgotten(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Under the name that workflows use, its password never shown, in a file that only its owner can read."""
    give(monkeypatch, PASSWORD.encode())
    words = ["--server", "https://Registry.Example/v2/", "--username", "me", "--password-stdin"]

    assert main(["registry", "login", "team", *words]) == 0
    assert main(["registry", "list"]) == 0
    assert (project / ".wf/registries.env").stat().st_mode & 0o777 == 0o600
    assert main(["registry", "logout", "team"]) == 0
    assert main(["registry", "logout", "team"]) == 2

    ended = capsys.readouterr()
    assert ended.out == (
        "`team` is kept in .wf/registries.env; it is tried when an image is pulled\n"
        "name  registry          user\n"
        "team  registry.example  me\n"
        "`team` is forgotten\n"
    )
    assert PASSWORD not in ended.err


LEAK = """
import base64, os, sys, time, urllib.parse
secret = os.environ["TOKEN"]
print("plain", secret)
for half in (secret[:7], secret[7:]):
    print(half, end="", flush=True)
    time.sleep(0.05)
print()
print("base64", base64.b64encode(("x" + secret).encode()).decode())
print("quoted", urllib.parse.quote(secret), urllib.parse.quote_plus(secret), file=sys.stderr)
open("/outputs/other/kept", "w").write("done")
os.makedirs("/outputs/.wf")
open("/outputs/.wf/metrics.json", "w").write('{"%s": 1}' % secret)
sys.exit(int(os.environ["CODE"]))
"""
WORKFLOW = """
jobs:
  Passes: &job
    uses: script@v1
    env: {TOKEN: secret:TOKEN, CODE: "0"}
    with: {image: IMAGE, script: SCRIPT}
    outputs: {other: {type: volume}}
  Fails:
    <<: *job
    env: {TOKEN: secret:TOKEN, CODE: "3"}
  Odd:
    <<: *job
    resources: {memory: 1}
"""


def _forms(secret: str) -> Iterator[str]:
    yield from (secret, quote(secret), secret[:12], json.dumps(secret)[1:-1])
    for offset in range(3):
        yield base64.b64encode(b"x" * offset + secret.encode()).decode()[4:-6]


@pytest.mark.docker
def test_a_secret_is_nowhere_after_jobs_that_print_it(
    project: Path,
    base_image: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Jobs print it in every form; one passes, one fails, one cannot start. No file, output or engine holds it."""
    script = f"cat > /leak.py <<'END'\n{LEAK}\nEND\npython3 /leak.py"
    (project / "flow.yaml").write_text(WORKFLOW.replace("IMAGE", base_image).replace("SCRIPT", json.dumps(script)))
    give(monkeypatch, PASSWORD.encode())
    main(["secrets", "set", "TOKEN", "--stdin"])

    said = []
    for output in ("plain", "json"):
        assert main(["run", "flow.yaml", "--backend", "docker", "--output", output]) == 1
        ended = capsys.readouterr()
        said.append(ended.out + ended.err)
    for words in (["show", "--json"], ["show"], ["logs"], ["secrets", "list"]):
        assert main(words) == 0
        said.append(capsys.readouterr().out)
    (project / ".wf/secrets.env").unlink()  # the one place where it may be
    said += [path.read_bytes().decode(errors="replace") for path in (project / ".wf").rglob("*") if path.is_file()]
    said.append(_engine())

    everything = "\n".join(said)
    assert "Passes │ plain ***\n" in everything
    assert [form for form in _forms(PASSWORD) if form in everything] == []


def _engine() -> str:
    """All that the engine tells of its containers, images and volumes."""
    with contextlib.closing(find_engine().connect()) as client:
        told: list[Any] = [client.inspect_container(each["Id"]) for each in client.containers(all=True)]
        told += [client.inspect_image(each["Id"]) for each in client.images(all=True)]
        told += [client.volumes()]
    return json.dumps(told)
