"""What runs and builds have left in a Docker engine, and nothing needs any more."""

import contextlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wf.backends.containers import containers_with, remove_container, remove_volume, volumes_with
from wf.backends.engine import Engine, reporting
from wf.backends.images import BUILT_BY, Images, Wanted
from wf.host import HostNetwork
from wf.plan import ProjectImage
from wf.project import project_id
from wf.settings import DockerSettings


@dataclass(frozen=True, slots=True)
class Leftovers:
    """Things in an engine, by what the engine calls them."""

    containers: tuple[str, ...]
    volumes: tuple[str, ...]
    images: Mapping[str, int]
    """Of former states of `containers/`: id -> bytes, with the layers that it shares."""

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return bool(self.containers or self.volumes or self.images)


def find_leftovers(
    engine: Engine,
    root: Path,
    settings: DockerSettings,
    *,
    running: Callable[[], Collection[int]],
    deployed: Collection[str],
) -> Leftovers:
    """What the runs of a project, and builds of its images, have left.

    Args:
        engine: where to look.
        root: the project's folder.
        settings: of its images.
        running: gives the runs that go on; asked after the engine, as a run is recorded before it has containers.
        deployed: ids of images that a deployment may start again.
    """
    with contextlib.closing(engine.connect()) as client, reporting("leftovers cannot be listed"):
        project = project_id(root)
        ours = f"wf.project={project.removeprefix('p')}", "wf.run"
        containers, volumes = containers_with(engine, *ours), volumes_with(engine, *ours)
        built = client.images(filters={"label": f"{BUILT_BY}={project}"})
        current = {*deployed, *_current_images(engine, root, settings)}
        goes_on = set(map(str, running()))
        return Leftovers(
            tuple(each["Id"] for each in containers if _run(each) not in goes_on),
            tuple(each["Name"] for each in volumes if _run(each) not in goes_on),
            {each["Id"]: int(each["Size"]) for each in built if each["Id"] not in current},
        )


def remove_leftovers(engine: Engine, leftovers: Leftovers) -> None:
    """Remove them; an image that a container has, or another is built on, stays."""
    import docker.errors

    with contextlib.closing(engine.connect()) as client, reporting("leftovers cannot be removed"):
        for container in leftovers.containers:
            remove_container(engine, container)
        for volume in leftovers.volumes:
            remove_volume(engine, volume)
        for image in leftovers.images:
            with contextlib.suppress(docker.errors.NotFound):
                try:
                    client.remove_image(image)
                except docker.errors.APIError as error:
                    if error.status_code != 409:
                        raise


def _run(thing: Mapping[str, Any]) -> str:
    return str((thing["Labels"] or {}).get("wf.run"))


def _current_images(engine: Engine, root: Path, settings: DockerSettings) -> set[str]:
    """The images that `containers/` would give now, where they are built."""
    images = Images(engine, root, settings, HostNetwork(), lambda _: None)
    try:
        folders = [path.parent for path in (root / "containers").glob("*/Dockerfile")]
        wanted = [Wanted(ProjectImage(each.name, each), gpu) for each in folders for gpu in (False, True)]
        return {found for each in wanted if (found := images.find(each))}
    finally:
        images.close()
