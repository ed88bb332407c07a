"""Experiment tracking: the only module that knows Comet.

Every experiment is written as an offline archive into a folder. With `COMET_API_KEY` set it is sent to Comet as well.
Tracking never stops a training: what goes wrong is said once, and the work goes on.
"""

import logging
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Protocol, Self
from urllib.parse import urlsplit

TrackingMode = Literal["auto", "offline", "off"]
"""auto: an offline archive, and Comet itself if `COMET_API_KEY` is set and accepted; offline: the archive only."""

PROJECT: Final = "movie-recommendation"

_PREFLIGHT_SECONDS: Final = 3.0

# The client reads these when it is imported or makes an experiment. Without them it prints much, patches TensorFlow,
# reports its own errors to its makers, waits half a minute for a server that is away, and hours at the end.
_ENVIRONMENT: Final = {
    "COMET_LOGGING_CONSOLE": "ERROR",
    "COMET_DISABLE_AUTO_LOGGING": "1",
    "COMET_ERROR_TRACKING_ENABLE": "false",
    "COMET_DISPLAY_SUMMARY_LEVEL": "0",
    "COMET_FALLBACK_STREAMER_KEEP_OFFLINE_ZIP": "1",
    "COMET_TIMEOUT_HTTP": "5",
    "COMET_TIMEOUT_API": "5",
    "COMET_TIMEOUT_CLEANING": "60",
    "COMET_TIMEOUT_UPLOAD": "300",
    "COMET_HTTP_SESSION_RETRY_TOTAL": "1",
    "COMET_GET_OR_ADD_EXPERIMENT_RETRY_TOTAL": "1",
    "COMET_GET_OR_ADD_EXPERIMENT_RETRY_CONNECT": "1",
    "COMET_GET_OR_ADD_EXPERIMENT_RETRY_READ": "1",
}


class Tracker(Protocol):
    """Where an experiment is recorded. Used as a context manager, it ends with the block."""

    def log_params(self, parameters: Mapping[str, object]) -> None:
        """Record what the experiment was run with."""

    def log_metrics(self, metrics: Mapping[str, float], *, epoch: int | None = None) -> None:
        """Record figures, of an epoch or of the whole experiment; those that are not finite are left out."""

    def log_other(self, name: str, value: object) -> None:
        """Record a fact."""

    def log_asset(self, path: Path) -> None:
        """Attach a file."""

    def end(self, status: str) -> None:
        """Finish: `completed`, `failed` or `interrupted`."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


def start_tracker(mode: TrackingMode, folder: Path, *, name: str, tags: Sequence[str] = ()) -> Tracker:
    """Begin an experiment that leaves a Comet archive in `folder`, which is made where there is none."""
    if mode == "off":
        return _NoTracker()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return CometTracker(folder, name=name, tags=tags, online=mode == "auto" and _comet_answers())
    except Exception as error:  # noqa: BLE001  (tracking never stops the work)
        print(f"warning: this run is not tracked: {_without_key(str(error))}", flush=True)
        return _NoTracker()


class _EndsWithBlock:
    """Ends an experiment with the block that uses it, and says how the block ended."""

    def end(self, status: str) -> None:
        """Finish the experiment."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.end("completed")
        else:
            self.end("failed" if issubclass(kind, Exception) else "interrupted")


class _NoTracker(_EndsWithBlock):
    """Records nothing."""

    def log_params(self, parameters: Mapping[str, object]) -> None:
        pass

    def log_metrics(self, metrics: Mapping[str, float], *, epoch: int | None = None) -> None:
        pass

    def log_other(self, name: str, value: object) -> None:
        pass

    def log_asset(self, path: Path) -> None:
        pass


class CometTracker(_EndsWithBlock):
    """One Comet experiment. There can be only one at a time in a process: the client ends the one before, cut short."""

    def __init__(self, folder: Path, *, name: str, tags: Sequence[str], online: bool) -> None:
        experiment = _start_experiment(folder, online=online)
        if online and not experiment.alive:
            experiment.end()
            print("warning: Comet did not accept the experiment: tracking offline", flush=True)
            experiment = _start_experiment(folder, online=False)
        self._experiment = experiment
        self._has_failed = False
        self._attempt(experiment.set_name, name)
        if tags:
            self._attempt(experiment.add_tags, list(tags))
        where = experiment.url if online and experiment.alive and experiment.url else "offline archive"
        print(f"tracking: {where}", flush=True)

    def log_params(self, parameters: Mapping[str, object]) -> None:
        """Record what the experiment was run with."""
        # Comet takes a list apart into no parameter at all: text keeps it readable and comparable.
        flat = {name: str(list(v)) if isinstance(v, list | tuple) else v for name, v in parameters.items()}
        self._attempt(self._experiment.log_parameters, flat)

    def log_metrics(self, metrics: Mapping[str, float], *, epoch: int | None = None) -> None:
        """Record figures, of an epoch or of the whole experiment; those that are not finite are left out."""
        finite = {name: float(value) for name, value in metrics.items() if math.isfinite(value)}
        self._attempt(self._experiment.log_metrics, finite, step=epoch, epoch=epoch)

    def log_other(self, name: str, value: object) -> None:
        """Record a fact."""
        self._attempt(self._experiment.log_other, name, value)

    def log_asset(self, path: Path) -> None:
        """Attach a file under its own name."""
        self._attempt(self._experiment.log_asset, str(path), file_name=path.name)

    def end(self, status: str) -> None:
        """Finish: send or write what is still held back."""
        self.log_other("status", status)
        self._attempt(self._experiment.end)

    def _attempt(self, call: Callable[..., object], *arguments: object, **options: object) -> None:
        try:
            call(*arguments, **options)
        except Exception as error:  # noqa: BLE001  (tracking never stops the work)
            if not self._has_failed:
                print(f"warning: tracking is incomplete: {_without_key(str(error))}", flush=True)
            self._has_failed = True


def _start_experiment(folder: Path, *, online: bool) -> Any:
    for variable, value in _ENVIRONMENT.items():
        os.environ.setdefault(variable, value)
    import comet_ml

    for handler in logging.getLogger("comet_ml").handlers:
        handler.addFilter(_mask_key)
    # Off: all that the client would gather on its own, which takes seconds, and the network, and is the runner's task.
    lean = comet_ml.ExperimentConfig(
        log_code=False,
        log_graph=False,
        parse_args=False,
        log_git_metadata=False,
        log_git_patch=False,
        log_env_details=False,
        auto_output_logging="",
        auto_param_logging=False,
        auto_metric_logging=False,
        auto_log_co2=False,
        display_summary_level=0,
        offline_directory=str(folder),
    )
    project = os.environ.get("COMET_PROJECT_NAME") or PROJECT
    return comet_ml.start(project_name=project, mode="create", online=online, experiment_config=lean)


def _comet_answers() -> bool:
    """Whether there is an API key that the server accepts; the client itself would wait for up to four minutes."""
    key = os.environ.get("COMET_API_KEY")
    if not key:
        return False
    import requests

    address = urlsplit(os.environ.get("COMET_URL_OVERRIDE") or "https://www.comet.com/clientlib/")
    url = f"{address.scheme}://{address.netloc}/api/rest/v2/account-details"
    try:
        answer = requests.get(url, headers={"Authorization": key}, timeout=_PREFLIGHT_SECONDS)
    except requests.RequestException as error:
        print(f"warning: {address.netloc} does not answer ({type(error).__name__}): tracking offline", flush=True)
        return False
    if answer.status_code in (401, 403):
        print(f"warning: {address.netloc} refuses COMET_API_KEY: tracking offline", flush=True)
    elif not answer.ok:
        print(f"warning: {address.netloc} answers with status {answer.status_code}: tracking offline", flush=True)
    return answer.ok


def _mask_key(record: logging.LogRecord) -> bool:
    record.msg, record.args = _without_key(record.getMessage()), ()
    record.exc_info = None  # the client's exceptions hold the key
    return True


def _without_key(text: str) -> str:
    key = os.environ.get("COMET_API_KEY")
    return text.replace(key, "***") if key else text
