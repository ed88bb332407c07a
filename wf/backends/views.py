"""Inputs that a task may change: writable views of artifacts, which themselves never change.

A view is a volume that Docker's `local` driver mounts as an overlay: the artifact lies below, and what the task writes
goes to a volume of its own, on the engine's disk. So nothing is copied, and nothing is left when the volumes go.

An artifact is read-only and the caller's. In its view everything belongs to the user of the task's image and has the
mode that this user's own files would have: 0644, or 0755 for folders and what is executable. A helper container sets
this; with the overlay's option `metacopy` it changes what is known of a file without copying it.

Where an overlay cannot be mounted (an old kernel, a rootless engine), or the image has no shell to set owners with, a
view is an ordinary volume with a copy of the artifact, which everybody may change.
"""

import contextlib
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from wf.backends.base import Launch
from wf.backends.containers import create, create_volume, remove_container, remove_volume, run_helper
from wf.backends.convert import Surroundings, to_handover_config, volume_mount
from wf.backends.engine import Engine, reporting
from wf.backends.questions import RefusalError
from wf.errors import EnvironmentProblem
from wf.plan import GatheredOutput

if TYPE_CHECKING:
    from wf.plan import InputsMode, InputSource


class View(Struct, frozen=True):
    """A writable view of one input."""

    volume: str

    @property
    def upper(self) -> str:
        """The volume that gets what is written."""
        return f"{self.volume}-upper"

    @property
    def work(self) -> str:
        """A volume that the overlay needs for itself."""
        return f"{self.volume}-work"


class Views:
    """The views of one run. Any thread may use it."""

    def __init__(self) -> None:
        self._shared: dict[InputSource, View] = {}
        self._lock = threading.Lock()
        self._no_overlay_in: set[str] = set()
        """Images for whose tasks overlays were tried in vain."""

    def open(self, engine: Engine, launch: Launch, around: Surroundings) -> dict[str, View]:
        """A view for each input of a task that it may change, by the input's name."""
        mode = launch.task.inputs_mode
        if launch.task.is_step or mode == "ro":
            return {}
        sources = {each.name: each.source for each in launch.task.inputs if each.type != "string"}
        sources = {name: source for name, source in sources.items() if name in launch.inputs}
        if mode == "shared":  # what is gathered for one task alone is nothing to share
            sources = {name: source for name, source in sources.items() if not isinstance(source, GatheredOutput)}
        if mode == "cow":
            return self._make(engine, {name: launch.inputs[name] for name in sources}, launch, around)
        with self._lock:
            new = {sources[name]: name for name in sources if sources[name] not in self._shared}
            made = self._make(engine, {name: launch.inputs[name] for name in new.values()}, launch, around)
            self._shared |= {source: made[name] for source, name in new.items()}
            return {name: self._shared[source] for name, source in sources.items()}

    def close(self, engine: Engine, views: Mapping[str, View]) -> None:
        """Remove the views of a task whose container is gone; shared ones stay until the end of the run."""
        _remove(engine, [view for view in views.values() if view not in self._shared.values()])

    def close_shared(self, engine: Engine) -> None:
        """Remove what the tasks of the run have shared."""
        _remove(engine, self._shared.values())
        self._shared.clear()

    def _make(
        self, engine: Engine, folders: Mapping[str, Path], launch: Launch, around: Surroundings
    ) -> dict[str, View]:
        if not folders:
            return {}
        start = f"wf-{launch.run}-{os.urandom(6).hex()}"
        views = {name: View(f"{start}-{number}") for number, name in enumerate(folders)}
        with reporting(f"job `{launch.task.id}` cannot get writable inputs"):
            try:
                user = engine.ask(f"/images/{around.image}/json").value["Config"].get("User") or "0:0"
                if not self._are_overlaid(engine, views, folders, user, launch.task.inputs_mode, around):
                    for name, view in views.items():
                        _copy(engine, view, folders[name], user, around)
            except BaseException:
                _remove(engine, views.values())
                raise
        return views

    def _are_overlaid(
        self,
        engine: Engine,
        views: Mapping[str, View],
        folders: Mapping[str, Path],
        user: str,
        mode: "InputsMode",
        around: Surroundings,
    ) -> bool:
        """Whether views could be made as overlays, and given to the user of the image, or if shared to all users."""
        if around.image in self._no_overlay_in:
            return False
        volumes = {name: view.volume for name, view in views.items()}
        modes = "a+rwX" if mode == "shared" else "u+rwX"
        # The engine says no to a mount that it cannot make, and to a program that the image lacks.
        with contextlib.suppress(RefusalError):
            for name, view in views.items():
                _overlay(engine, view, folders[name], around)
            if run_helper(engine, to_handover_config(volumes, user, modes, around)) == 0:
                return True
        _remove(engine, views.values())
        self._no_overlay_in.add(around.image)
        return False


def _overlay(engine: Engine, view: View, below: Path, around: Surroundings) -> None:
    labels = dict(around.labels)
    upper, work = (create_volume(engine, part, Labels=labels)["Mountpoint"] for part in (view.upper, view.work))
    paths = {"lowerdir": str(below.resolve()), "upperdir": upper, "workdir": work}
    options = [f"{option}={_escaped(path)}" for option, path in paths.items()]
    mount = {"type": "overlay", "device": "overlay", "o": ",".join([*options, "metacopy=on"])}
    create_volume(engine, view.volume, Driver="local", DriverOpts=mount, Labels=labels)


def _escaped(path: str) -> str:
    """For the options of an overlay, where these characters separate."""
    for character in "\\:,":
        path = path.replace(character, "\\" + character)
    return path


def _copy(engine: Engine, view: View, folder: Path, user: str, around: Surroundings) -> None:
    """A volume with a copy, put there through a container that never starts: so it takes nothing of its image."""
    create_volume(engine, view.volume, Labels=dict(around.labels))
    mount = volume_mount(view.volume, "/copy")
    config = {"Image": around.image, "Cmd": ["-"], "Labels": dict(around.labels), "HostConfig": {"Mounts": [mount]}}
    container = create(engine, config)
    try:
        with contextlib.closing(engine.connect()) as client:
            if not client.put_archive(container, "/", _packed(folder, user)):
                raise EnvironmentProblem(f"{folder} cannot be copied into the engine")
    finally:
        remove_container(engine, container)


def _packed(folder: Path, user: str) -> Iterator[bytes]:
    """A tar of what a folder holds, written by a thread while it is read: it may be bigger than the memory."""
    import tarfile

    uid, _, gid = user.partition(":")

    def opened(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        # The names of an image's users are known only in it: then everything is root's, and open to all.
        entry.uid, entry.gid = (int(each) if each.isdecimal() else 0 for each in (uid, gid))
        entry.uname = entry.gname = ""
        entry.mode |= 0o777 if entry.mode & 0o100 else 0o666
        return entry

    def write(descriptor: int) -> None:
        # The reader, if something goes wrong there, is gone before the end.
        gone = contextlib.suppress(BrokenPipeError)
        with gone, os.fdopen(descriptor, "wb") as sink, tarfile.open(fileobj=sink, mode="w|") as tar:
            tar.add(folder, "copy", filter=opened)

    source, sink = os.pipe()
    threading.Thread(target=write, args=[sink], daemon=True).start()
    with os.fdopen(source, "rb") as packed:
        while chunk := packed.read(1 << 16):
            yield chunk


def _remove(engine: Engine, views: Iterable[View]) -> None:
    for view in views:
        for volume in (view.volume, view.upper, view.work):
            remove_volume(engine, volume)
