"""`./steps/NAME`: run a step of the project, its parameters checked by its own pydantic model."""

import importlib
import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Literal, Protocol, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from wf.actions.base import Complain, Ports, Process
from wf.errors import EnvironmentProblem
from wf.plan import LocalFile, ProjectImage


class Step(Protocol):
    """What a step's module says about it under the name `STEP`. Projects define it; see `steps/entry.py`."""

    name: str
    summary: str
    inputs: type[BaseModel]
    reads: Mapping[str, str]
    writes: Mapping[str, str]
    optional: frozenset[str]
    image: str
    gpus: int | Literal["auto"]
    network: bool
    network_with: tuple[str, ...]
    control: bool
    cache: bool
    state: bool


def step_names(root: Path) -> list[str]:
    """The project's steps, in the order in which `steps/__init__.py` lists them."""
    return list(_step_modules(root))


def load_step(root: Path, name: str) -> Step:
    """Import a step's module, which is quick, and return its description.

    Raises:
        EnvironmentProblem: the module cannot be imported or describes no step.
    """
    module_name = _step_modules(root)[name]
    try:
        step: Step = importlib.import_module(module_name).STEP
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        message = f"the step `{name}` cannot be loaded from `{module_name}`: {reason}"
        raise EnvironmentProblem(message, hint=f"try `python -m {module_name} --help`") from error
    return step


def load_module(root: Path, name: str) -> ModuleType:
    """Import a module of the project's package `steps`.

    Raises:
        EnvironmentProblem: there is none of this name.
    """
    _step_modules(root)
    try:
        return importlib.import_module(f"steps.{name}")
    except ModuleNotFoundError as error:
        raise EnvironmentProblem(f"this project has no `steps/{name}.py`: {error}") from error


def compile_step(root: Path, step: Step, given: Mapping[str, object], complain: Complain) -> Process | None:
    """Check the parameters against the step's model and make its command line."""
    files = _local_files(root, step, given, complain)
    try:
        inputs = step.inputs.model_validate(dict(given))
    except ValidationError as error:
        for details in error.errors(include_url=False):
            _complain_about(step, details["type"], details["loc"], details["msg"], details["input"], complain)
        return None
    except Exception as bug:  # noqa: BLE001 -- a validator is the step's own code: its bugs are the step's
        complain(f"step `{step.name}` cannot check its parameters: {type(bug).__name__}: {bug}", "with")
        return None
    parameters = json.loads(inputs.model_dump_json())
    explicit = {name: parameters[name] for name in given} | {file.parameter: str(file.path) for file in files}
    return Process(
        image=ProjectImage(step.image, root / "containers" / step.image),
        entrypoint=("python",),
        command=("-m", f"steps.{step.name}", "--with", json.dumps(explicit)),
        parameters=parameters,
        defaulted=frozenset(parameters.keys() - given.keys()),
        reads=Ports(step.reads, step.optional),
        writes=Ports(step.writes, step.optional),
        local_files=files,
        gpus=step.gpus,
        is_step=True,
        network=step.network or step.control,
        network_with=step.network_with,
        control=step.control,
        cache=step.cache,
        state=step.state,
    )


def names_local_file(info: FieldInfo) -> bool:
    """Whether a parameter names a file of the machine that runs the workflow."""
    return info.annotation is Path or Path in get_args(info.annotation)


def _step_modules(root: Path) -> dict[str, str]:
    folder = root / "steps"
    if not (folder / "__init__.py").exists():
        return {}
    loaded = sys.modules.get("steps")
    if loaded is not None and not _is_in(Path(loaded.__file__ or ""), folder):
        # Another project's steps, loaded earlier by this process: this project's have the same names.
        for name in [name for name in sys.modules if name.split(".")[0] == "steps"]:
            del sys.modules[name]
    if sys.path[0] != str(root):
        with suppress(ValueError):
            sys.path.remove(str(root))
        sys.path.insert(0, str(root))
    modules: dict[str, str] = importlib.import_module("steps").STEPS
    return modules


def _is_in(file: Path, folder: Path) -> bool:
    """Whether the file lies in the folder, which they may name through different links."""
    return file.parent == folder or file.resolve().parent == folder.resolve()


def _found(root: Path, text: str) -> Path | None:
    """Where a path leads, or nothing if no system can have such a one."""
    try:
        path = (root / Path(text).expanduser()).resolve()
        path.lstat()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return path
    except (OSError, RuntimeError, ValueError):  # too long, a ring of links, no such user's home, a zero byte
        return None
    return path


def _why_not_there(path: Path) -> str:
    """Why there is nothing to read at a path; empty if there is something."""
    try:
        path.stat()
    except PermissionError as error:
        return f"`{path}` cannot be read: {error.strerror}"
    except OSError:
        return f"there is no file or folder `{path}`"
    return ""


def _local_files(root: Path, step: Step, given: Mapping[str, object], complain: Complain) -> tuple[LocalFile, ...]:
    files = []
    for name, info in step.inputs.model_fields.items():
        value = given.get(name)
        if not names_local_file(info) or not isinstance(value, str):
            continue
        path = _found(root, value)
        if path is None:
            complain(f"`with.{name}` cannot be a path", "with", name)
        elif reason := _why_not_there(path):
            complain(f"`with.{name}`: {reason}", "with", name)
        else:
            files.append(LocalFile(name, path))
    return tuple(files)


def _complain_about(
    step: Step, kind: str, loc: tuple[str | int, ...], message: str, value: object, complain: Complain
) -> None:
    name = str(loc[0]) if loc else ""
    if kind == "extra_forbidden":
        near = get_close_matches(name.replace("-", "_").lower(), step.inputs.model_fields, n=1, cutoff=0.5)
        hint = f"did you mean `{near[0]}`?" if near else f"`wf steps {step.name}` shows what it takes"
        complain(f"step `{step.name}` has no parameter `{name}`", "with", name, hint=hint)
    elif kind == "missing":
        complain(f"step `{step.name}` needs `with: {{{name}: ...}}`", "with")
    elif not loc:
        complain(f"step `{step.name}`: {message.removeprefix('Value error, ')}", "with")
    else:
        wanted = message.removeprefix("Value error, ").replace("Input should be ", "must be ").partition(", unable")[0]
        complain(f"`with.{name}` {wanted.replace(chr(39), '`')}, not `{value}`", "with", *loc)
