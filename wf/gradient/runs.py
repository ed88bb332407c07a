"""Runs as Gradient's API describes them: the run object, and the ids of its logs."""

import re
from collections.abc import Mapping
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from wf.project import project_id
from wf.references import parse_dataset
from wf.store import Store
from wf.store.layout import JobFolder
from wf.store.records import JobRecord, RunRecord

CLUSTER: Final = {"id": "wf"}
_PHASES: Final = {
    "waiting": "PENDING",
    "running": "RUNNING",
    "succeeded": "SUCCEEDED",
    "failed": "FAILED",
    "skipped": "SKIPPED",
    "cancelled": "CANCELED",
    "interrupted": "ERROR",
}


def run_object(store: Store, run: RunRecord) -> dict[str, Any]:
    """A run with its jobs. Its `id` is the number that `wf` gives it."""
    spec = store.history.spec(run.id)
    jobs = store.history.jobs(run.id)
    status = {
        **_state(run.state, run.started, run.finished, run.error),
        "logId": f"wfr{run.id:012}",
        "inputs": _workflow_inputs(spec, run, jobs),
        "jobs": {job.name: _job(run, job, position) for position, job in enumerate(jobs)},
    }
    ident = uuid5(NAMESPACE_URL, f"wf:{project_id(store.layout.root)}:{run.id}")
    return {"id": run.id, "uuid": str(ident), "cluster": CLUSTER, "spec": spec, "status": status}


def log_of(store: Store, log_id: str) -> JobFolder | None:
    """The folder with the log that an id of a job's log means."""
    match = re.fullmatch(r"wfrj(\d{7})(\d{5})", log_id)
    if match is None:
        return None
    run, position = int(match[1]), int(match[2])
    jobs = store.history.jobs(run)
    return JobFolder(jobs[position].log.parent) if position < len(jobs) else None


def _job(run: RunRecord, job: JobRecord, position: int) -> dict[str, Any]:
    inputs = {each.name: {"dataset": {"ref": each.source}} for each in job.inputs if _is_version(each.source)}
    outputs = {
        each.name: {"dataset": {"ref": each.dataset, "isCommitted": True}} for each in job.outputs if each.dataset
    }
    return {
        **_state(job.state, job.started, job.finished, job.error),
        "logId": f"wfrj{run.id:07}{position:05}",
        **({"inputs": inputs} if inputs else {}),
        "outputs": outputs,
    }


def _state(state: str, started: str | None, finished: str | None, error: str) -> dict[str, Any]:
    message = {"message": error} if error else {}
    return {"phase": _PHASES[state], "started": started, "finished": finished, **message}


def _workflow_inputs(spec: Mapping[str, Any], run: RunRecord, jobs: tuple[JobRecord, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, declared in (spec.get("inputs") or {}).items():
        if name not in run.inputs:
            continue
        if declared.get("type") != "dataset":
            found[name] = {"with": {"value": run.inputs[name]}}
            continue
        found[name] = {"with": {"ref": run.inputs[name]}}
        if version := _version_read(f"workflow.inputs.{name}", spec, jobs):
            found[name]["dataset"] = {"ref": version}
    return found


def _version_read(reference: str, spec: Mapping[str, Any], jobs: tuple[JobRecord, ...]) -> str:
    """The version that a job which names the reference has read."""
    for job in jobs:
        named = (spec.get("jobs") or {}).get(job.name, {}).get("inputs") or {}
        for each in job.inputs:
            if named.get(each.name) == reference and _is_version(each.source):
                return each.source
    return ""


def _is_version(source: str) -> bool:
    return ".outputs." not in source and parse_dataset(source) is not None and ":" in source
