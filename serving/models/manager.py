"""Loads new versions, then unloads old ones, while requests go on."""

import asyncio
import logging
from collections.abc import Coroutine, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from enum import IntEnum
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

from serving.errors import Code, InvalidArgument, NotFound, ServingError
from serving.models.config import ModelConfig, by_name
from serving.models.servable import Servable

log = logging.getLogger(__name__)


class Loading(Protocol):
    """What loads versions. Runs in threads."""

    def load(self, name: str, version: int, folder: Path, *, urgent: bool) -> Servable:
        """Load a version; `urgent`: no version of the model answers meanwhile."""

    def improve(self, servable: Servable, folder: Path) -> None:
        """Do what an urgent load left out. The model answers meanwhile."""


_DRAIN_STEP: Final = 0.05
_RETRY_SECONDS: Final = 0.5


class State(IntEnum):
    """Where a version is in its life; the numbers are those of `ModelVersionStatus`."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclass(slots=True)
class Version:
    """What is known of one version. It stays listed after its end."""

    number: int
    state: State = State.START
    error: ServingError | None = None
    servable: Servable | None = None
    attempts: int = 0
    stamp: object = None
    """What its folder looked like when it failed to load: it is tried again when that changes."""


@dataclass(slots=True)
class Model:
    """The versions of one model."""

    config: ModelConfig
    versions: dict[int, Version] = field(default_factory=dict)
    latest: Servable | None = None

    def available(self) -> dict[int, Servable]:
        """The versions that answer requests."""
        return {
            version.number: version.servable
            for version in self.versions.values()
            if version.servable and version.state is State.AVAILABLE
        }

    def errors(self) -> dict[int, ServingError]:
        """Why versions could not be loaded."""
        return {version.number: version.error for version in self.versions.values() if version.error}

    def choose_latest(self) -> None:
        """To be called after every change of what is available."""
        available = self.available()
        self.latest = available[max(available)] if available else None


class Manager:
    """All models. Its methods are called from the event loop only; models are loaded and closed in `executor`."""

    def __init__(
        self,
        loading: Loading,
        executor: Executor,
        *,
        attempts: int = 5,
        labels_for_unavailable: bool = False,
    ) -> None:
        """`attempts`: how often a version is tried that cannot be loaded and does not change."""
        self._loading = loading
        self._executor = executor
        self._attempts = attempts
        self._labels_for_unavailable = labels_for_unavailable
        self._models: dict[str, Model] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._changing = asyncio.Lock()

    @property
    def models(self) -> Sequence[Model]:
        """All of them."""
        return tuple(self._models.values())

    @property
    def ready(self) -> bool:
        """Whether every model has a version that answers requests."""
        return all(model.latest for model in self._models.values())

    def knows(self, name: str) -> bool:
        """Whether a model of this name is to be served."""
        return name in self._models

    def find(self, name: str, version: int | None = None, label: str | None = None) -> Servable:
        """The version to answer a request.

        Raises:
            ServingError: it is not there, or not available.
        """
        model = self._models.get(name)
        if label is not None:
            version = self._labelled(model, label)
        if model is not None:
            if version is None:
                if model.latest is not None:
                    return model.latest
            else:
                found = model.versions.get(version)
                if found and found.servable and found.state is State.AVAILABLE:
                    return found.servable
        wanted = f"Latest({name})" if version is None else f"Specific({name}, {version})"
        raise NotFound(f"Servable not found for request: {wanted}")

    def status(self, name: str, version: int | None = None, label: str | None = None) -> list[Version]:
        """What is known of one version, or of all, the newest first.

        Raises:
            ServingError: nothing is known of it.
        """
        model = self._models.get(name)
        if label is not None:
            version = self._labelled(model, label)
        versions = model.versions if model else {}
        if version is not None:
            if version not in versions:
                raise NotFound(f"Could not find version {version} of model {name}")
            return [versions[version]]
        if not versions:
            raise NotFound(f"Could not find any versions of model {name}")
        return [versions[number] for number in sorted(versions, reverse=True)]

    def _labelled(self, model: Model | None, label: str) -> int:
        version = model.config.labels.get(label) if model else None
        if version is None:
            raise InvalidArgument(f"Unrecognized servable version label: {label}")
        return version

    async def configure(self, configs: Iterable[ModelConfig]) -> None:
        """Serve these models and no others. Returns when that is so, as far as they can be loaded.

        Raises:
            ServingError: the configuration contradicts itself, or a label names a version that is not available.
        """
        wanted = by_name(configs)
        async with self._changing:
            for name in self._models.keys() - wanted.keys():
                model = self._models.pop(name)
                model.latest = None
                for number in model.available():
                    self._unload(model, number)
            for name, config in wanted.items():
                if name in self._models:
                    self._models[name].config = config
                else:
                    self._models[name] = Model(config)
            await asyncio.gather(*map(self._follow, self._models.values()))
        self._check_labels(wanted.values())

    async def begin(self, configs: Iterable[ModelConfig]) -> None:
        """Serve these models from the start on. A model without a folder or versions may get them later.

        Raises:
            ServingError: as of `configure`; and where no version of a model can be loaded, however often it is tried:
                TensorFlow Serving does not start either then.
        """
        await self.configure(configs)
        while failed := [model for model in self._models.values() if not model.latest and model.errors()]:
            for model in failed:
                for number, error in model.errors().items():
                    if model.versions[number].attempts >= self._attempts:
                        name = model.config.name
                        raise ServingError(error.code, f"version {number} of model {name}: {error.message}")
            await asyncio.sleep(_RETRY_SECONDS)
            await self.look()

    def _check_labels(self, configs: Iterable[ModelConfig]) -> None:
        if self._labels_for_unavailable:
            return
        for config in configs:
            available = self._models[config.name].available()
            for label, version in config.labels.items():
                if version not in available:
                    raise ServingError(
                        Code.FAILED_PRECONDITION,
                        f'Request to set label "{label}" of model {config.name} to version {version}, '
                        "which is not available",
                    )

    async def look(self) -> None:
        """Look at the folders of all models once, load what is new, then unload what is not wanted any more."""
        async with self._changing:
            await asyncio.gather(*map(self._follow, self._models.values()))

    async def close(self) -> None:
        """Unload everything, once its requests are answered."""
        await self.configure(())
        await asyncio.gather(*self._tasks)

    async def _follow(self, model: Model) -> None:
        on_disk = await asyncio.get_running_loop().run_in_executor(None, model.config.versions_on_disk)
        wanted = model.config.policy.choose(on_disk)
        if not wanted:
            return  # a folder that is being replaced, or a disk that is gone, is no reason to stop serving
        for number in sorted(wanted, reverse=True):
            await self._ensure(model, number, on_disk[number])
        available = model.available()
        if available.keys() & wanted:
            for number in available.keys() - wanted:
                self._unload(model, number)

    async def _ensure(self, model: Model, number: int, folder: Path) -> None:
        version = model.versions.setdefault(number, Version(number))
        if version.state in (State.AVAILABLE, State.UNLOADING):
            return
        stamp = _stamp(folder)
        if version.error and version.stamp == stamp and version.attempts >= self._attempts:
            return
        if version.stamp != stamp:
            version.attempts = 0
        version.attempts += 1
        version.stamp = stamp
        version.state, version.error = State.LOADING, None
        name = model.config.name
        loop = asyncio.get_running_loop()
        urgent = model.latest is None
        try:
            load = partial(self._loading.load, name, number, folder, urgent=urgent)
            version.servable = servable = await loop.run_in_executor(self._executor, load)
        except Exception as error:  # noqa: BLE001
            # A model must not be able to end the server, however it is broken.
            told = error if isinstance(error, ServingError) else ServingError(Code.INTERNAL, repr(error))
            version.state, version.error = State.END, told
            log.error("version %d of model %s cannot be loaded: %s", number, name, told)  # noqa: TRY400
            return
        version.state = State.AVAILABLE
        model.choose_latest()
        log.info("serving version %d of model %s", number, name)
        if urgent:
            self._background(self._improve(servable, folder))

    async def _improve(self, servable: Servable, folder: Path) -> None:
        with servable:
            await asyncio.get_running_loop().run_in_executor(self._executor, self._loading.improve, servable, folder)

    def _unload(self, model: Model, number: int) -> None:
        version = model.versions[number]
        version.state = State.UNLOADING
        model.choose_latest()
        self._background(self._retire(model.config.name, version))

    def _background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _retire(self, name: str, version: Version) -> None:
        servable = version.servable
        if servable:
            while servable.busy:
                await asyncio.sleep(_DRAIN_STEP)
            version.servable = None
            await asyncio.get_running_loop().run_in_executor(self._executor, servable.close)
        version.state = State.END
        log.info("version %d of model %s is unloaded", version.number, name)


def _stamp(folder: Path) -> object:
    """Something that changes when the files of a version do."""
    found = []
    for path in (folder, folder / "saved_model.pb", folder / "variables"):
        try:
            status = path.stat()
            found.append((status.st_mtime_ns, status.st_size))
        except OSError:
            found.append((0, 0))
    return tuple(found)
