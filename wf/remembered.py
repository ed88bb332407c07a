"""Plans of earlier compilations, kept under `.wf/plans/`: compiling takes longer than a run in which all is done.

A plan is recalled where everything that compiling it read is the same: the workflow file and the values for its inputs,
the project's modules that were imported, `steps/` and the names beside it, where Python looks for packages and when
they were last changed there, and `wf` itself. Contents are compared, never times, but for installed packages.

A plan that depends on something else is not kept: on files of this machine that parameters name, on a git work tree,
or on what a program of `wf` looks for. Neither is one with warnings, which are to be seen each time.
"""

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from wf import __version__
from wf.bulk import in_bulk
from wf.plan import HostProgram, Plan
from wf.plan_text import decode, encode
from wf.project import STORE

_KEPT: Final = 64
"""Plans of one project, of which the newest stay."""


def recall(path: Path, root: Path, settings: Mapping[str, str]) -> Plan | None:
    """The plan that compiling this file with these values would give, if that is known."""
    place = _place(path, root, settings)
    try:
        head, _, text = place.read_text(encoding="utf-8").partition("\n")
        seen = json.loads(head)
        if seen != _seen(path, root, seen["modules"]):
            return None
        with in_bulk():
            return decode(text)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def remember(plan: Plan, root: Path, settings: Mapping[str, str]) -> None:
    """Keep a plan that was just compiled without a warning, if it depends on nothing but what `recall` compares."""
    if not all(_is_pure(task.image) and not task.local_files for task in plan.tasks):
        return
    if b"context.event" in plan.workflow.read_bytes():
        return
    with in_bulk():
        text = encode(plan)
        if decode(text) != plan:
            return
    place = _place(plan.workflow, root, settings)
    seen = _seen(plan.workflow, root, _modules(root))
    with contextlib.suppress(OSError):  # then the next one compiles again
        place.parent.mkdir(exist_ok=True)
        new = place.with_suffix(f".{os.getpid()}")
        new.write_text(json.dumps(seen) + "\n" + text, encoding="utf-8")
        new.replace(place)
        by_age = sorted(place.parent.iterdir(), key=lambda each: each.stat().st_mtime_ns, reverse=True)
        for old in by_age[_KEPT:]:
            old.unlink(missing_ok=True)


def _is_pure(image: object) -> bool:
    return not isinstance(image, HostProgram)


def _place(path: Path, root: Path, settings: Mapping[str, str]) -> Path:
    asked = json.dumps([str(path), str(root), sorted(settings.items())])
    return root / STORE / "plans" / f"{hashlib.sha256(asked.encode()).hexdigest()[:32]}.json"


def _seen(path: Path, root: Path, modules: Iterable[str]) -> dict[str, object]:
    """Everything that a compilation reads, as digests."""
    return {
        "wf": [__version__, _stamps(Path(__file__).parent)],
        "python": [sys.version, _packages(root)],
        "workflow": _digest(path),
        "beside": sorted(each.name for each in root.iterdir() if each.name[0] != "."),
        "steps": _digests(root / "steps"),
        "modules": {name: _digest(root / name) for name in sorted(modules)},
    }


def _modules(root: Path) -> list[str]:
    """Files of the project, other than those in `steps/`, that have been imported."""
    files = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    inside = [Path(file) for file in files if file and file.startswith(f"{root}{os.sep}")]
    names = {file.relative_to(root) for file in inside if "site-packages" not in file.parts}
    return sorted(str(name) for name in names if name.parts[0] not in {"steps", "wf"} and name.parts[0][0] != ".")


def _digests(folder: Path) -> dict[str, str]:
    found = {}
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__"]
        for name in files:
            path = os.path.join(parent, name)  # noqa: PTH118 - in every run, of many files
            found[path.removeprefix(str(folder))] = _digest(path)
    return found


def _digest(path: Path | str) -> str:
    with open(path, "rb") as file:  # noqa: PTH123 - as above
        return hashlib.sha256(file.read()).hexdigest()


def _stamps(folder: Path) -> str:
    """What tells one version of the files of `wf` from another."""
    stamps = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__"]
        for name in files:
            status = os.stat(os.path.join(parent, name))  # noqa: PTH116, PTH118 - as above
            stamps.append((parent, name, status.st_size, status.st_mtime_ns))
    return hashlib.sha256(repr(sorted(stamps)).encode()).hexdigest()


def _packages(root: Path) -> list[list[object]]:
    """Where packages are looked for, and when one was last added or removed there."""
    found: list[list[object]] = []
    for folder in sys.path:
        if folder and not (folder == str(root) or folder.startswith(f"{root}{os.sep}")):
            with contextlib.suppress(OSError):
                found.append([folder, os.stat(folder).st_mtime_ns])  # noqa: PTH116 - as above
    return found
