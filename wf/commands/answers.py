"""What answers the jobs of a run when they ask `wf` over HTTP."""

import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wf.control.http import Handler, Request, Response
    from wf.gradient.emulator import Emulator
    from wf.secrets import Secrets
    from wf.settings import Settings


class Answers:
    """All handlers as one, imported when the first job asks: most runs have none that does. Any thread may use it."""

    def __init__(self, root: Path, settings: "Settings", secrets: "Secrets") -> None:
        self._root = root
        self._settings = settings
        self._secrets = secrets
        self._lock = threading.Lock()
        self._handlers: tuple[Handler, ...] = ()
        self._emulator: Emulator | None = None

    def __call__(self, request: "Request") -> "Response | None":
        """The answer of the first handler that has one."""
        with self._lock:
            if not self._handlers:
                self._open()
        return next((answer for handler in self._handlers if (answer := handler(request))), None)

    def close(self) -> None:
        """Drop what jobs have begun and not ended."""
        if self._emulator:
            self._emulator.close()

    def _open(self) -> None:
        from wf.deployments.handlers import deployment_handler
        from wf.deployments.service import Deployments
        from wf.gradient.emulator import Emulator

        deployments = Deployments(self._root, self._settings, self._secrets)
        self._emulator = Emulator(self._root, deployments)
        self._handlers = (deployment_handler(deployments, lambda request: request.by), self._emulator)
