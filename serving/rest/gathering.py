"""Small predict requests that arrive in one turn of the event loop: their rows are decoded and computed together.

Most of the time for one row goes into calls, not into numbers, and those are made once for all.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Final, TypeGuard

from serving.inference import Call, Inference
from serving.models.servable import Servable
from serving.rest import decode, encode
from serving.rest.answer import Answer, told
from serving.signatures import Signature

_SIZES: Final = (1, 2, 3, 4, 6, 8, 12, 16)
"""Rows are filled up to the next of these numbers: engines prepare for each number of rows that they meet."""
_MOST_ROWS: Final = _SIZES[-1]
"""What is more is worth its own calls."""


class Pending:
    """The reply to a request that is gathered. Who has it sets `deliver`, which is called in the loop's next turn."""

    __slots__ = ("call", "deliver", "instances")

    deliver: Callable[[Answer], None]

    def __init__(self, instances: list[Any], call: Call) -> None:
        self.instances = instances
        self.call = call
        call.rows = len(instances)


class Gathering:
    """The requests of this turn."""

    def __init__(self, inference: Inference) -> None:
        self._inference = inference
        self._asked: dict[tuple[Servable, str], list[Pending]] = {}
        self._used = ExitStack()
        """Holds on to the models, which might be unloaded before the next turn."""

    def takes(self, instances: object, servable: Servable, signature: Signature) -> TypeGuard[list[Any]]:
        """Whether a request is small, and its model can answer several at once."""
        few = isinstance(instances, list) and 0 < len(instances) <= _MOST_ROWS
        return few and servable.answers_together(signature, _MOST_ROWS)

    def add(self, servable: Servable, signature: Signature, instances: list[Any], call: Call) -> Pending:
        """Answer a request that this `takes`."""
        if not self._asked:
            asyncio.get_running_loop().call_soon(self._answer_all)
        asked = self._asked.get((servable, signature.name))
        if asked is None:
            asked = self._asked[servable, signature.name] = []
            self._used.enter_context(servable)
        pending = Pending(instances, call)
        asked.append(pending)
        return pending

    def _answer_all(self) -> None:
        asked, used = self._asked, self._used
        self._asked, self._used = {}, ExitStack()
        with used:
            for (servable, name), pending in asked.items():
                for some in _parted(pending):
                    self._answer(servable, servable.signatures[name], some)

    def _answer(self, servable: Servable, signature: Signature, asked: list[Pending]) -> None:
        try:
            rows = [row for each in asked for row in each.instances]
            if len(asked) > 1:
                # A request on its own is left as it is: its model need not answer one row for each.
                rows += rows[:1] * (next(size for size in _SIZES if size >= len(rows)) - len(rows))
            inputs = decode.rows(rows, signature.inputs)
            outputs = self._inference.predict_together(servable, signature, inputs, [each.call for each in asked])
            answers = [Answer(200, encode.rows(each)) for each in outputs]
        except Exception as error:  # noqa: BLE001
            if len(asked) == 1:
                self._inference.done(asked[0].call, error)
                asked[0].deliver(told(error))
            else:
                # One of them is to blame, and the others do not suffer from it.
                for each in asked:
                    self._answer(servable, signature, [each])
            return
        for each, answer in zip(asked, answers, strict=True):
            self._inference.done(each.call)
            each.deliver(answer)


def _parted(asked: list[Pending]) -> Iterator[list[Pending]]:
    """The requests in their order, in parts that have not too many rows."""
    part: list[Pending] = []
    rows = 0
    for each in asked:
        rows += len(each.instances)
        if rows > _MOST_ROWS:
            yield part
            part, rows = [], len(each.instances)
        part.append(each)
    yield part
