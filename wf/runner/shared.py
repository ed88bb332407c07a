"""What all tasks of a run have in common."""

from collections.abc import Mapping

from msgspec import Struct

from wf.backends.base import Backend
from wf.control.control import Control
from wf.logs import Masker, without_controls
from wf.runner.code import Code
from wf.runner.messages import Mailbox
from wf.store.artifacts import Artifacts
from wf.store.layout import Layout

PATIENCE = 10.0
"""Seconds that something which should come at once is waited for."""


class Shared(Struct, frozen=True):
    """What all workers of a run have in common. Everything in it may be used from any thread."""

    run: int
    backend: Backend
    layout: Layout
    artifacts: Artifacts
    secrets: Mapping[str, str]
    masker: Masker
    code: Code | None
    mailbox: Mailbox
    control: Control
    log_limit: int
    """Bytes of each job's log that are kept."""

    def clean(self, text: str) -> str:
        """What a job says, as one line without secrets and signs that drive a terminal."""
        return self.masker.mask(without_controls(text).replace("\r", " "))
