"""Ctrl-C, SIGTERM and a closed terminal, without exceptions in random places."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType
from typing import Any, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """While it is entered, a signal does nothing but what is asked for here.

    Outside of the main thread, where Python allows no signal handlers, there are none to handle.
    """

    def __init__(self) -> None:
        self.received = False
        self.on_signal: Callable[[], None] = lambda: None
        """Called in the main thread between two instructions of anything: it may only do what is safe there."""
        self._raising = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                if number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
                    continue  # started with nohup
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def raising(self) -> Iterator[None]:
        """In the block a signal raises KeyboardInterrupt: for calls that block and cannot be told to end."""
        self._raising = True
        try:
            if self.received:
                raise KeyboardInterrupt
            yield
        finally:
            self._raising = False

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        self.received = True
        if self._raising:
            raise KeyboardInterrupt
        self.on_signal()
