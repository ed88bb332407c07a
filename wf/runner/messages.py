"""What workers tell the runner's thread, and the way there."""

import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING

from msgspec import Struct

from wf.backends.base import Exit, Handle

if TYPE_CHECKING:
    from wf.runner.outputs import Collected


class Started(Struct, frozen=True):
    """The process runs."""

    job: str
    handle: Handle | None
    """`None` for what `wf` does itself."""
    at: float
    """By the monotonic clock."""


class Closed(Struct, frozen=True):
    """The process has closed its output, as one does that ends."""

    job: str


class Gone(Struct, frozen=True):
    """No process is left of it; how it ended is not known yet."""

    job: str
    handle: Handle
    """Which of its processes that was, as the job may have been started once more since."""


class Exited(Struct, frozen=True):
    """The process has ended well; what it left is looked through and stored next."""

    job: str


class Lines(Struct, frozen=True):
    """The process has printed whole lines."""

    job: str
    lines: list[str]


class Note(Struct, frozen=True):
    """Something to tell the user."""

    job: str
    message: str


class Ended(Struct, frozen=True):
    """The task is over: nothing of it runs, and what it has left is collected."""

    job: str
    exit: Exit | None
    """`None` if it never came to an end of its own."""
    collected: "Collected | None"
    """What it left, if it succeeded."""
    error: str
    at: float
    """By the monotonic clock."""


class Undone(Struct, frozen=True):
    """The turn of the task was given up, and nothing is left of what was made ready."""

    job: str


Message = Started | Lines | Closed | Gone | Exited | Note | Ended | Undone


class Mailbox:
    """The way from the workers, and from signal handlers, to the runner's thread."""

    _LINES_UNDER_WAY = 16

    def __init__(self) -> None:
        # Signal handlers may put into a SimpleQueue, whatever they interrupted.
        self._queue: SimpleQueue[Message | None] = SimpleQueue()
        self._room = threading.Semaphore(self._LINES_UNDER_WAY)

    def tell(self, message: Message) -> None:
        """Send a message. Lines wait while too many are under way, so that no task prints faster than it is heard."""
        if isinstance(message, Lines):
            self._room.acquire()
        self._queue.put(message)

    def interrupt(self) -> None:
        """Send `None`: the user wants an end."""
        self._queue.put(None)

    def receive(self, timeout: float | None) -> Message | None:
        """The next message; raises `queue.Empty` if there is none in time."""
        message = self._queue.get(timeout=timeout)
        if isinstance(message, Lines):
            self._room.release()
        return message
