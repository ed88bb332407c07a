"""Images: found in the engine, pulled, or built from `containers/NAME`; each one once, however many tasks use it.

A built image is tagged `wf/NAME:HASH`, where the hash is over everything that went in, so what did not change is never
built again. Build arguments that a Dockerfile declares are filled in:

    ARG BASE_IMAGE          the base image of the project's settings
    ARG X=containers/NAME   the image of that folder, which is built first
    ARG VARIANT             `cuda` for tasks with a GPU, else `cpu`
    ARG PIP_INDEX_URL, ...  the mirrors of this machine

A Dockerfile that names the file `ca-certificates.crt` finds this machine's CA bundle under that name in its context,
if there is one. Neither it nor the mirrors count for the hash: they must not end in the image, so a Dockerfile declares
and copies them in a stage of their own. What a build leaves of such stages is removed after it.
"""

import fcntl
import os
import re
import subprocess
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from msgspec import Struct

from wf.backends.engine import Engine, reporting
from wf.backends.recipe import Recipe
from wf.errors import EnvironmentProblem
from wf.events import Emit, Preparing
from wf.host import HostNetwork
from wf.plan import Image, ProjectImage, RegistryImage
from wf.project import STORE, project_id
from wf.settings import DockerSettings

LINES_OF_A_FAILED_BUILD = 15
BUILT_BY = "wf.built-by"
"""The label of a built image that names the project whose `wf` built it."""


class Wanted(Struct, frozen=True):
    """An image, and whether what runs in it has a GPU."""

    image: Image
    gpu: bool = False
    accounts: tuple[str, ...] = ()
    """The names of the project's accounts to pull it with, the first to try first."""

    def __str__(self) -> str:
        return self.image.ref if isinstance(self.image, RegistryImage) else f"containers/{self.image.name}"


_Have = Callable[[Wanted, tuple[str, ...]], tuple[str, str] | None]
_Base = Callable[[], tuple[str, str] | None]


class _Build(Struct, frozen=True):
    """A build that has everything that it builds on."""

    recipe: Recipe
    tag: str
    arguments: Mapping[str, str]


class Images:
    """The images of one plan. Used from one thread."""

    def __init__(self, engine: Engine, root: Path, settings: DockerSettings, host: HostNetwork, emit: Emit) -> None:
        self._engine = engine
        self._root = root
        self._settings = settings
        self._host = host
        self._emit = emit
        self._had: dict[Wanted, tuple[str, str]] = {}
        self._base: tuple[str, str] | None = None

    def ensure(self, wanted: Iterable[Wanted]) -> dict[Wanted, str]:
        """Have them all ready and return the id of each; one error names all that cannot be had."""
        ids: dict[Wanted, str] = {}
        problems: list[EnvironmentProblem] = []
        for each in dict.fromkeys(wanted):
            try:
                ids[each] = self._have(each)[1]
            except EnvironmentProblem as problem:
                problems.append(problem)
        if problems:
            messages = dict.fromkeys(str(problem) for problem in problems)
            hints = dict.fromkeys(problem.hint for problem in problems if problem.hint)
            raise EnvironmentProblem("\n".join(messages), hint="\n".join(hints))
        return ids

    def find(self, wanted: Wanted) -> str | None:
        """The id of an image that the engine has already, where a build or pull now would change nothing."""
        found = self._found(wanted, ())
        return found[1] if found else None

    @cached_property
    def _client(self) -> Any:
        return self._engine.connect()

    def close(self) -> None:
        """Close the connection, if anything needed one."""
        if "_client" in vars(self):
            self._client.close()

    def _have(self, wanted: Wanted, asked_by: tuple[str, ...] = ()) -> tuple[str, str]:
        """Name and id of an image that is in the engine when this returns."""
        if wanted not in self._had:
            if wanted.image.stands_for:
                line = f"stands in for `{wanted.image.stands_for}`, as an alias says"
                self._emit(Preparing(what=f"image {wanted}", line=line))
            if isinstance(wanted.image, RegistryImage):
                ref = wanted.image.ref
                self._had[wanted] = ref, self._id_of(ref) or self._pull(ref, wanted.accounts)
            else:
                self._had[wanted] = self._built(wanted.image, wanted.gpu, asked_by)
        return self._had[wanted]

    def _id_of(self, ref: str) -> str | None:
        with reporting(f"image `{ref}` cannot be looked up"):
            found = self._engine.find(f"/images/{ref}/json")
        return str(found["Id"]) if found else None

    def _pull(self, ref: str, accounts: Sequence[str] = ()) -> str:
        with self._alone_in(self._root, f"image {ref}", "another wf may be pulling it: waiting"):
            if found := self._id_of(ref):
                return found
            from wf.backends.pull import pull
            from wf.registries import Registries

            for line in pull(self._client, ref, Registries(self._root / STORE), accounts):
                self._emit(Preparing(what=f"image {ref}", line=line))
        found = self._id_of(ref)
        if found is None:
            raise EnvironmentProblem(f"image `{ref}` was pulled, but the engine does not know it")
        return found

    def base_image(self) -> tuple[str, str]:
        """The first of the project's base images that is there, or else that can be pulled."""
        if self._base is None:
            self._base = self._found_base_image()
        if self._base is None:
            reasons = []
            for ref in self._settings.base_images:
                try:
                    self._base = ref, self._pull(ref)
                    return self._base
                except EnvironmentProblem as problem:
                    reasons.append(str(problem))
            self._base = self._bootstrapped(reasons)
        return self._base

    def _found_base_image(self) -> tuple[str, str] | None:
        return next(((ref, found) for ref in self._settings.base_images if (found := self._id_of(ref))), None)

    def _bootstrapped(self, reasons: list[str]) -> tuple[str, str]:
        """The last of the base images, made on this machine because none can be pulled."""
        program, ref = self._settings.base_bootstrap, self._settings.base_images[-1]
        hint = "WF_BASE_IMAGE names any other image that has Python 3.11."
        if program is None:
            raise EnvironmentProblem("\n".join(reasons), hint=hint)
        for line in [*reasons, f"so {program} makes `{ref}`"]:
            self._emit(Preparing(what="base image", line=line))
        lines: deque[str] = deque(maxlen=LINES_OF_A_FAILED_BUILD)
        with subprocess.Popen(
            [program], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            for line in process.stdout or ():
                lines.append(line.rstrip())
                self._emit(Preparing(what="base image", line=line.rstrip()))
        found = self._id_of(ref)
        if process.returncode != 0 or found is None:
            shown = "\n".join(f"  | {line}" for line in lines)
            message = f"{program} ended with {process.returncode} and `{ref}` is not there:\n{shown}"
            raise EnvironmentProblem("\n".join([*reasons, message]), hint=hint)
        return ref, found

    def _built(self, image: ProjectImage, gpu: bool, asked_by: tuple[str, ...]) -> tuple[str, str]:
        build = self._plan_build(image, gpu, asked_by, self._have, self.base_image)
        assert build is not None, "what it builds on is there"
        if found := self._id_of(build.tag):
            return build.tag, found
        with self._alone_in(image.folder, f"image {image.name}", "another wf is building it: waiting"):
            return build.tag, self._id_of(build.tag) or self._build(build.recipe, build.tag, build.arguments)

    def _plan_build(
        self, image: ProjectImage, gpu: bool, asked_by: tuple[str, ...], have: _Have, base: _Base
    ) -> _Build | None:
        """What a build would be; nothing where `have` or `base` has not what it builds on."""
        if image.name in asked_by:
            raise EnvironmentProblem(
                f"containers/{image.name} builds on itself: {' <- '.join((*asked_by, image.name))}"
            )
        recipe = Recipe.read(image)
        arguments = {
            name: self._settings.build_args[name] for name in recipe.arguments & self._settings.build_args.keys()
        }
        if "VARIANT" in recipe.arguments:
            arguments["VARIANT"] = "cuda" if gpu else "cpu"
        below = {
            argument: have(Wanted(ProjectImage(name, image.folder.parent / name), gpu), (*asked_by, image.name))
            for argument, name in recipe.builds_on.items()
        }
        if "BASE_IMAGE" in recipe.arguments:
            below["BASE_IMAGE"] = base()
        there = {argument: found for argument, found in below.items() if found is not None}
        if there.keys() != below.keys():
            return None
        digest = recipe.digest({**arguments, **{name: found[1] for name, found in there.items()}})
        return _Build(
            recipe, f"wf/{image.name}:{digest}", {**arguments, **{name: found[0] for name, found in there.items()}}
        )

    def _found(self, wanted: Wanted, asked_by: tuple[str, ...]) -> tuple[str, str] | None:
        """Name and id of an image that is in the engine already."""
        if isinstance(wanted.image, RegistryImage):
            name: str | None = wanted.image.ref
        else:
            build = self._plan_build(wanted.image, wanted.gpu, asked_by, self._found, self._found_base_image)
            name = build.tag if build else None
        found = self._id_of(name) if name else None
        return (name, found) if name and found else None

    @contextmanager
    def _alone_in(self, place: Path, what: str, busy: str) -> Iterator[None]:
        """Let one `wf` at a time get an image: the second then finds it there."""
        folder = os.open(place, os.O_RDONLY)
        try:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._emit(Preparing(what=what, line=busy))
                fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def _build(self, recipe: Recipe, tag: str, arguments: Mapping[str, str]) -> str:
        name = recipe.image.name
        import tempfile

        mirrors = {key: value for key, value in self._host.pip.items() if key in recipe.arguments}
        lines: deque[str] = deque(maxlen=LINES_OF_A_FAILED_BUILD)
        before = self._dangling()
        failure = f"image `{name}` could not be built from {recipe.image.folder}"
        made: set[str] = set()
        with reporting(failure), tempfile.TemporaryFile() as context:
            recipe.pack(context, self._host.ca_bundle)
            try:
                for message in self._client.build(
                    fileobj=context,
                    custom_context=True,
                    tag=tag,
                    buildargs={**self._host.proxies, **mirrors, **arguments},
                    labels={BUILT_BY: project_id(self._root)},
                    rm=True,
                    forcerm=True,
                    decode=True,
                ):
                    if error := message.get("error"):
                        shown = "\n".join(f"  | {line}" for line in lines)
                        raise EnvironmentProblem(f"{failure}: {error.strip()}\n{shown}")
                    for line in _plain_lines(message.get("stream", "")):
                        made.update(re.findall(r"^ ---> ([0-9a-f]{12})$", line))
                        lines.append(line)
                        self._emit(Preparing(what=f"image {name}", line=line))
            finally:
                self._remove_stages(self._dangling() - before, made)
        found = self._id_of(tag)
        if found is None:
            raise EnvironmentProblem(f"{failure}: the engine does not know it after building it")
        return found

    def _dangling(self) -> set[str]:
        return set(self._client.images(filters={"dangling": True}, quiet=True))

    def _remove_stages(self, dangling: set[str], made: set[str]) -> None:
        """Remove what a build left without a name, and that only: its stages hold this machine's CA and mirrors."""
        import docker.errors

        for image_id in dangling:
            if image_id.removeprefix("sha256:")[:12] in made:
                try:
                    self._client.remove_image(image_id)
                except docker.errors.APIError as error:
                    self._emit(Preparing(what="images", line=f"a build stage stays: {error.explanation}"))


def _plain_lines(text: str) -> list[str]:
    """Whole lines without colours: the builder paints what programs write to standard error."""
    return [line for line in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines() if line.strip()]
