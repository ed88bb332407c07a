"""`s3-download@v1` against a server that speaks S3."""

import importlib.util
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer
from msgspec.structs import replace

from tests.backends.tasks import make_task
from tests.harness import tree
from tests.projects import problems_of
from wf.actions.programs import S3, compile_s3_download
from wf.backends.programs import program_problems
from wf.plan import HostProgram
from wf.programs.s3_download import main

KEYS = {"access-key": "AKIA", "secret-access-key": "$SECRET"}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Its address; the bucket `data` holds some objects."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    client = boto3.client(
        "s3", endpoint_url=address, aws_access_key_id="x", aws_secret_access_key="x", region_name="us-east-1"
    )
    client.create_bucket(Bucket="data")
    for key in ("train/one.csv", "train/deep/two words.csv", "training/other.csv", "evil/../../../escaped", "evil2//x"):
        client.put_object(Bucket="data", Key=key, Body=key.encode())
    client.put_object(Bucket="data", Key="train/empty/", Body=b"")
    yield address
    server.stop()


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The job's outputs."""
    folder = tmp_path / "outputs"
    (folder / "files").mkdir(parents=True)
    monkeypatch.setenv("WF_OUTPUTS", str(folder))
    monkeypatch.setenv("WF_JOB_ENV", json.dumps({"SECRET": "s3cret", "PART": "train"}))
    return folder


def download(server: str, url: str, path: str = "/outputs/files") -> int:
    """Run the program; returns its exit code."""
    parameters: Mapping[str, str] = {"url": url, "path": path, "endpoint": server, **KEYS}
    return main(["--with", json.dumps(parameters)])


@pytest.mark.parametrize("url", ["s3://data/train/", "s3://data/train", "s3://data/${PART}/"])
def test_s7_4_objects_under_the_prefix_become_files(server: str, outputs: Path, url: str) -> None:
    """Named by what follows the prefix; `training/` is not under `train`."""
    assert download(server, url) == 0
    assert tree(outputs / "files") == {
        "deep": "/",
        "deep/two words.csv": "train/deep/two words.csv",
        "one.csv": "train/one.csv",
    }


def test_s7_4_path_deepens_the_output(server: str, outputs: Path) -> None:
    """As for git-checkout."""
    assert download(server, "s3://data/train/deep/", "/outputs/files/sub") == 0
    assert tree(outputs / "files") == {"sub": "/", "sub/two words.csv": "train/deep/two words.csv"}


@pytest.mark.parametrize("prefix", ["evil", "evil2"])
def test_s7_4_no_object_leaves_the_output(
    server: str, outputs: Path, capsys: pytest.CaptureFixture[str], prefix: str
) -> None:
    """A key with `..` in it, or an absolute path, is refused."""
    assert download(server, f"s3://data/{prefix}/") == 1
    assert "cannot be a file in the output" in capsys.readouterr().out
    assert list(outputs.rglob("*")) == [outputs / "files"]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3://data/nothing/", "error: there is nothing under s3://data/nothing/\n"),
        ("s3://nowhere/x/", "NoSuchBucket"),
        ("https://data/x", "error: `https://data/x` is not of the form s3://BUCKET/PREFIX/\n"),
    ],
)
def test_s7_4_what_is_not_there_is_named(
    server: str, outputs: Path, capsys: pytest.CaptureFixture[str], url: str, said: str
) -> None:
    """In one line, and without the secret."""
    assert download(server, url) == 1
    log = capsys.readouterr().out
    assert said in log
    assert "s3cret" not in log


def test_s7_4_the_secret_key_becomes_a_variable() -> None:
    """Its name is on the command line, and its value is a secret of the job."""
    given = {"url": "s3://b/", "access-key": "AKIA", "secret-access-key": "secret:KEY"}

    process = compile_s3_download({"files": "volume"}, given, lambda *_, **__: None)

    assert process is not None
    assert process.image == HostProgram("wf.programs.s3_download", package="boto3")
    assert json.loads(process.command[-1])["secret-access-key"] == "${WITH_SECRET_ACCESS_KEY}"
    assert process.secrets["WITH_SECRET_ACCESS_KEY"].name == "KEY"


def test_s7_4_the_secret_key_must_be_a_secret(tmp_path: Path) -> None:
    """The format forbids it in plain text."""
    text = problems_of(
        tmp_path,
        f"jobs: {{A: {{uses: {S3}, with: {{url: 's3://b/', access-key: a, secret-access-key: b}}, "
        "outputs: {f: {type: volume}}}}",
    )

    assert text.splitlines()[0] == "error: job `A`: `with.secret-access-key` must be a secret"


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs it."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    task = make_task("python", step=False)
    task = replace(task, image=HostProgram("wf.programs.s3_download", package="boto3"))

    assert program_problems([task]) == ["job `job` needs the Python package `boto3`: pip install -e '.[s3]'"]
