"""Small predict requests that arrive in one turn of the event loop: their rows are read and computed together.

Most of the time for one row goes into calls, not into numbers, and those are made once for all.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, Protocol, TypeVar

from serving.inference import Call, Inference
from serving.models.servable import Servable
from serving.signatures import Signature, Tensors

_SIZES: Final = (1, 2, 3, 4, 6, 8, 12, 16)
"""Rows are filled up to the next of these numbers: engines prepare for each number of rows that they meet."""
_MOST_ROWS: Final = _SIZES[-1]
"""What is more is worth its own calls."""
_FILLED: Final = [next(size for size in _SIZES if size >= rows) for rows in range(_MOST_ROWS + 1)]

Reply = TypeVar("Reply")
Written_co = TypeVar("Written_co", covariant=True)


class Interface(Protocol[Written_co]):
    """How rows and answers are written where requests come from."""

    def inputs(self, servable: Servable, signature: Signature, rows: list[Any]) -> Tensors:
        """The inputs that rows of one or several requests hold, as `Signature.check` passes them.

        Raises:
            ServingError: what is wrong with one of them.
        """

    def answers(
        self, servable: Servable, signature: Signature, outputs: Tensors, rows: int, sizes: Sequence[int]
    ) -> Sequence[Written_co]:
        """What requests are answered that have so many rows each. The outputs may be to more rows, behind theirs."""

    def failure(self, error: Exception) -> Written_co:
        """What a request is answered that failed."""


class Pending(Generic[Reply]):
    """The reply to a request that is gathered. Who has it sets `deliver`, which is called in the loop's next turn."""

    __slots__ = ("call", "deliver", "rows")

    deliver: Callable[[Reply], None]

    def __init__(self, rows: list[Any], call: Call) -> None:
        self.rows = rows
        self.call = call
        call.rows = len(rows)


class _Together(Generic[Reply]):
    """Requests that are computed at once."""

    __slots__ = ("asked", "rows", "servable", "signature")

    def __init__(self, servable: Servable, signature: Signature, rows: list[Any], asked: list[Pending[Reply]]) -> None:
        self.servable = servable
        self.signature = signature
        self.rows = rows
        self.asked = asked


class Gathering(Generic[Reply]):
    """The requests of this turn, and of those after it as long as more come."""

    def __init__(self, inference: Inference, interface: Interface[Reply], patience: int = 0) -> None:
        """`patience`: the answer waits until so many turns have brought no other request, or rows are enough."""
        self._inference = inference
        self._interface = interface
        self._patience = patience
        self._left = 0
        self._full = False
        self._parts: list[_Together[Reply]] = []
        self._last: dict[tuple[Servable, str], _Together[Reply]] = {}
        """The part of each signature that may have room for more rows."""

    def takes(self, rows: int, servable: Servable, signature: Signature) -> bool:
        """Whether a request of so many rows is small, and its model can answer several at once."""
        return 0 < rows <= _MOST_ROWS and servable.answers_together(signature, _MOST_ROWS)

    def add(self, servable: Servable, signature: Signature, rows: list[Any], call: Call) -> Pending[Reply]:
        """Answer a request that this `takes`."""
        pending: Pending[Reply] = Pending(rows, call)
        self._left = self._patience
        last = self._last.get((servable, signature.name))
        if last is not None and len(last.rows) + len(rows) <= _MOST_ROWS:
            last.rows += rows
            last.asked.append(pending)
            self._full = self._full or len(last.rows) == _MOST_ROWS
            return pending
        self._full = self._full or last is not None
        if not self._parts:
            asyncio.get_running_loop().call_soon(self._turn)
        part = self._last[servable, signature.name] = _Together(servable, signature, rows[:], [pending])
        self._parts.append(part)
        servable.hold()
        return pending

    def _turn(self) -> None:
        if self._left and not self._full:
            self._left -= 1
            asyncio.get_running_loop().call_soon(self._turn)
        else:
            self._answer_all()

    def _answer_all(self) -> None:
        self._full = False
        parts = self._parts
        self._parts, self._last = [], {}
        for part in parts:
            try:
                self._answer(part)
            finally:
                part.servable.release()

    def _answer(self, part: _Together[Reply]) -> None:
        servable, signature, rows, asked = part.servable, part.signature, part.rows, part.asked
        calls = [each.call for each in asked]
        try:
            if len(asked) > 1:
                # A request on its own is left as it is: its model need not answer one row for each.
                rows += rows[:1] * (_FILLED[len(rows)] - len(rows))
            inputs = self._interface.inputs(servable, signature, rows)
            outputs = self._inference.predict_together(servable, signature, inputs, len(rows), calls)
            sizes = [call.rows for call in calls]
            answers = self._interface.answers(servable, signature, outputs, len(rows), sizes)
        except Exception as error:  # noqa: BLE001
            if len(asked) == 1:
                self._inference.done(calls[0], error)
                asked[0].deliver(self._interface.failure(error))
            else:
                # One of them is to blame, and the others do not suffer from it.
                for each in asked:
                    self._answer(_Together(servable, signature, each.rows, [each]))
            return
        for each, answer in zip(asked, answers, strict=True):
            self._inference.done(each.call)
            each.deliver(answer)
