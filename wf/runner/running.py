"""A task under way."""

import math
from typing import TYPE_CHECKING

from msgspec import Struct

from wf.backends.base import Handle
from wf.cache import CacheKey
from wf.events import JobState
from wf.plan import Task
from wf.runner.reuse import Decision
from wf.store.claims import Claim
from wf.store.records import InputRecord

if TYPE_CHECKING:
    from wf.runner.worker import Worker


class Running(Struct, eq=False):
    """A task, its worker, and how hard it was told to end."""

    task: Task
    worker: "Worker"
    key: CacheKey
    inputs: tuple[InputRecord, ...]
    decision: Decision
    claim: Claim | None
    handle: Handle | None = None
    """`None` until its process runs."""
    started: float = 0.0
    deadline: float = math.inf
    """When it is pressed harder to end."""
    has_closed: bool = False
    """Whether its process has closed its output, and so is about to end."""
    has_exited: bool = False
    """Whether its process has ended, so that there is room for another one."""
    may_end_until: float = 0.0
    """Until when it counts as one that may end soon, by the monotonic clock."""
    follows: "Running | None" = None
    """For whose end it waits, if it has not had its turn."""
    pressure: int = 0
    """How hard it was told to end: 0 for not at all."""
    ending: tuple[JobState, str] | None = None
    """How it counts once it has ended, because it was told to."""
    attempt: int = 1
    timed_out: bool = False

    def is_member_of(self, job: str) -> bool:
        """Whether it is one of the tasks that a job with a matrix is."""
        return self.task.member is not None and self.task.member.job == job
