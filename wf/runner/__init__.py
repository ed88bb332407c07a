"""Carries out a plan: `run` prepares and records it, `scheduler` is the loop, `worker` is one task in its thread."""

from wf.runner.reuse import Reuse
from wf.runner.run import RunResult, run_plan

__all__ = ["Reuse", "RunResult", "run_plan"]
