"""Carries out a plan: `run` prepares and records it, `scheduler` is the loop, `worker` is one task in its thread."""

from wf.runner.run import RunResult, run_plan

__all__ = ["RunResult", "run_plan"]
