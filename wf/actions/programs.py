"""`git-checkout@v1` and `s3-download@v1` fill an output. Having no image, they are programs of `wf` on this machine."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

from msgspec.structs import replace
from pydantic import Field, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from wf.actions.base import ActionParameters, Complain, Process, read_parameters
from wf.plan import HostProgram, IOType, SecretRef
from wf.programs.git_url import ref_problem, url_problem
from wf.programs.shared import has_variable
from wf.references import parse_secret

GIT: Final = "git-checkout@v1"
S3: Final = "s3-download@v1"


def _address(value: object) -> str | Path:
    if isinstance(value, str | Path):
        return value
    raise PydanticCustomError("string_type", "text")


class GitCheckoutParameters(ActionParameters):
    """What `with:` holds."""

    url: Annotated[str | Path, PlainValidator(_address), WithJsonSchema({"type": "string"})]
    """A `Path`, which no file can write, is the work tree that `context.event.github.url` stands for."""
    ref: str | None = None
    path: str | None = None
    username: str | None = None
    password: str | None = None


class S3DownloadParameters(ActionParameters):
    """What `with:` holds."""

    url: str
    access_key: str = Field(alias="access-key")
    secret_access_key: str = Field(alias="secret-access-key")
    region: str | None = None
    endpoint: str | None = None
    path: str | None = None


def compile_git_checkout(
    outputs: Mapping[str, IOType], given: Mapping[str, object], complain: Complain
) -> Process | None:
    """Texts with `$NAME` in them are checked again when their values are known."""
    if "branch" in given:
        complain("`git-checkout@v1` ignores `branch`", "with", "branch", hint="`ref` takes a branch", is_warning=True)
    rest = {name: value for name, value in given.items() if name != "branch"}
    parameters = read_parameters(GitCheckoutParameters, GIT, rest, complain)
    path = _path(GIT, outputs, given.get("path"), complain)
    if parameters is None or path is None:
        return None
    url, ref = parameters.url, parameters.ref
    if isinstance(url, str) and not has_variable(url) and (problem := url_problem(url)):
        complain(f"`{url}` is not a repository that can be cloned", "with", "url", hint=problem)
    if isinstance(url, str) and re.match(r"https?://[^/@:]*:[^/@$]+@", url):
        complain("the URL holds a password", "with", "url", hint="write `username: NAME` and `password: secret:NAME`")
    password = parameters.password or ""
    if password and not parse_secret(password) and not has_variable(password):
        complain("`with.password` must be a secret", "with", "password", hint="write `secret:NAME`")
    if ref and not has_variable(ref) and (problem := ref_problem(ref)):
        complain(f"`{ref}` cannot be checked out", "with", "ref", hint=problem)
    source = {"work-tree": str(url)} if isinstance(url, Path) else {"url": url}
    program = HostProgram("wf.programs.git_checkout", executable="git")
    process = _process(program, {**rest, **source, "path": path}, complain, GitCheckoutParameters)
    # Branches and tags move; a commit is what it is.
    return replace(process, reuse=bool(re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", ref or "")))


def compile_s3_download(
    outputs: Mapping[str, IOType], given: Mapping[str, object], complain: Complain
) -> Process | None:
    """The secret key must be a secret, as the format demands."""
    parameters = read_parameters(S3DownloadParameters, S3, given, complain)
    path = _path(S3, outputs, given.get("path"), complain)
    if parameters is None or path is None:
        return None
    if not has_variable(parameters.url) and not re.fullmatch(r"s3://[^/]+(/.*)?", parameters.url):
        complain(f"`{parameters.url}` is no place in S3", "with", "url", hint="write `s3://BUCKET/PREFIX/`")
    if not parse_secret(parameters.secret_access_key):
        complain("`with.secret-access-key` must be a secret", "with", "secret-access-key", hint="write `secret:NAME`")
    return _process(
        HostProgram("wf.programs.s3_download", package="boto3"), {**given, "path": path}, complain, S3DownloadParameters
    )


def _path(action: str, outputs: Mapping[str, IOType], given: object, complain: Complain) -> str | None:
    """Where the files go, as the job would see it: `/outputs/NAME`, or a folder in it."""
    folders = [name for name, kind in outputs.items() if kind != "string"]
    if not folders:
        complain(f"`{action}` has no output to fill", "uses", hint="add `outputs: {repo: {type: volume}}`")
    elif isinstance(given, str):
        # Where the volume is an input, which is how the format began, files went to `/inputs/NAME`.
        path = re.sub(r"^/inputs/", "/outputs/", given.rstrip("/"))
        match = re.fullmatch(r"/outputs/([^/]+)(/.*)?", path)
        if match and match[1] in folders and ".." not in path.split("/"):
            return path
        complain(f"`with.path` leads to no output: `{given}`", "with", "path", hint=_choices(folders))
    elif given is None and len(folders) > 1:
        complain(f"`{action}` has several outputs: say which with `path`", "with", hint=_choices(folders))
    elif given is None:
        return f"/outputs/{folders[0]}"
    return None


def _choices(folders: list[str]) -> str:
    return "write " + " or ".join(f"`/outputs/{name}`" for name in folders)


def _process(
    program: HostProgram, given: Mapping[str, object], complain: Complain, model: type[ActionParameters]
) -> Process:
    """A secret becomes a variable of the job's environment, which is named in its place."""
    known = {info.alias or name for name, info in model.model_fields.items()} | {"work-tree"}
    texts: dict[str, str] = {}
    secrets: dict[str, SecretRef] = {}
    for name, value in given.items():
        if name not in known or value is None or isinstance(value, Path):
            continue
        texts[name] = str(value)
        if secret := parse_secret(texts[name]):
            variable = f"WITH_{name.upper().replace('-', '_')}"
            secrets[variable] = SecretRef(secret.name, secret.optional)
            texts[name] = f"${{{variable}}}"
            if name not in ("username", "password", "access-key", "secret-access-key"):
                complain(f"`with.{name}` cannot be a secret", "with", name)
    return Process(
        image=program,
        entrypoint=("python", "-P"),
        command=("-m", program.module, "--with", json.dumps(texts)),
        parameters={name: value for name, value in texts.items() if name not in ("password", "secret-access-key")},
        secrets=secrets,
        reuse=False,
    )
