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
import secrets
import tarfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wf.backends.base import Launch
from wf.backends.convert import Surroundings, to_handover_config, volume_mount
from wf.backends.engine import remove_container, remove_volume, reporting
from wf.backends.ownership import run_helper
from wf.errors import EnvironmentProblem

if TYPE_CHECKING:
    from wf.plan import InputsMode, InputSource


@dataclass(frozen=True, slots=True)
class View:
    """A writable view of one input."""

    volume: str
    parts: tuple[str, ...] = ()
    """The volumes that lie below it."""


class Views:
    """The views of one run. Any thread may use it, each with a connection of its own."""

    def __init__(self) -> None:
        self._shared: dict[InputSource, View] = {}
        self._lock = threading.Lock()
        self._no_overlay_in: set[str] = set()
        """Images for whose tasks overlays were tried in vain."""

    def open(self, client: Any, launch: Launch, around: Surroundings) -> dict[str, View]:
        """A view for each input of a task that it may change, by the input's name."""
        mode = launch.task.inputs_mode
        if launch.task.is_step or mode == "ro":
            return {}
        sources = {each.name: each.source for each in launch.task.inputs if each.type != "string"}
        if mode == "cow":
            return self._make(client, {name: launch.inputs[name] for name in sources}, launch, around)
        with self._lock:
            new = {name: launch.inputs[name] for name, source in sources.items() if source not in self._shared}
            for name, view in self._make(client, new, launch, around).items():
                self._shared[sources[name]] = view
            return {name: self._shared[source] for name, source in sources.items()}

    def close(self, client: Any, views: Mapping[str, View]) -> None:
        """Remove the views of a task whose container is gone; shared ones stay until the end of the run."""
        _remove(client, [view for view in views.values() if view not in self._shared.values()])

    def close_shared(self, client: Any) -> None:
        """Remove what the tasks of the run have shared."""
        _remove(client, self._shared.values())
        self._shared.clear()

    def _make(self, client: Any, folders: Mapping[str, Path], launch: Launch, around: Surroundings) -> dict[str, View]:
        if not folders:
            return {}
        start = f"wf-{launch.run}-{secrets.token_hex(6)}"
        with reporting(f"job `{launch.task.id}` cannot get writable inputs"):
            user = client.inspect_image(around.image)["Config"].get("User") or "0:0"
            if around.image not in self._no_overlay_in:
                views: dict[str, View] = {}
                try:
                    for number, (name, folder) in enumerate(folders.items()):
                        views[name] = _overlay(client, f"{start}-{number}", folder, around)
                    self._hand_over(client, views, user, launch.task.inputs_mode, around)
                    return views
                except _NoOverlayError:
                    _remove(client, views.values())
                    self._no_overlay_in.add(around.image)
                except BaseException:
                    _remove(client, views.values())
                    raise
            return {
                name: _copy(client, f"{start}-copy-{number}", folder, user, around)
                for number, (name, folder) in enumerate(folders.items())
            }

    def _hand_over(
        self, client: Any, views: Mapping[str, View], user: str, inputs_mode: "InputsMode", around: Surroundings
    ) -> None:
        """Give everything in new views to the user of the image; or in shared ones, which have several, to all."""
        import docker.errors

        mode = "a+rwX" if inputs_mode == "shared" else "u+rwX"
        config = to_handover_config({name: view.volume for name, view in views.items()}, user, mode, around)
        try:
            failed = run_helper(client, config)
        except docker.errors.APIError as error:
            raise _NoOverlayError from error
        if failed:
            raise _NoOverlayError


class _NoOverlayError(Exception):
    """The engine cannot mount an overlay, or the image has no program to set owners with."""


def _overlay(client: Any, name: str, below: Path, around: Surroundings) -> View:
    parts = (f"{name}-upper", f"{name}-work")
    upper, work = (client.create_volume(part, labels=dict(around.labels))["Mountpoint"] for part in parts)
    lower = _escaped(str(below.resolve()))
    options = {"type": "overlay", "device": "overlay"}
    options["o"] = f"lowerdir={lower},upperdir={_escaped(upper)},workdir={_escaped(work)},metacopy=on"
    client.create_volume(name, driver="local", driver_opts=options, labels=dict(around.labels))
    return View(name, parts)


def _escaped(path: str) -> str:
    """For the options of an overlay, where these characters separate."""
    for character in "\\:,":
        path = path.replace(character, "\\" + character)
    return path


def _copy(client: Any, name: str, folder: Path, user: str, around: Surroundings) -> View:
    """A volume with a copy, put there through a container that never starts: so it takes nothing of its image."""
    client.create_volume(name, labels=dict(around.labels))
    mount = volume_mount(name, "/copy")
    config = {"Image": around.image, "Cmd": ["-"], "Labels": dict(around.labels), "HostConfig": {"Mounts": [mount]}}
    container = client.create_container_from_config(config)["Id"]
    try:
        if not client.put_archive(container, "/", _packed(folder, user)):
            raise EnvironmentProblem(f"{folder} cannot be copied into the engine")
    finally:
        remove_container(client, container)
    return View(name)


def _packed(folder: Path, user: str) -> Iterator[bytes]:
    """A tar of what a folder holds, written by a thread while it is read: it may be bigger than the memory."""
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


def _remove(client: Any, views: Iterable[View]) -> None:
    for view in views:
        for volume in (view.volume, *view.parts):
            remove_volume(client, volume)
