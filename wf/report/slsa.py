"""What a run made, of what and how, as an in-toto Statement v1 with a SLSA Provenance v1 predicate.

The digest of an artifact is that of its manifest (see `wf.store.artifacts`), so it goes by a name of its own,
`wfManifest`; images, commits and files have the digests that everybody can compute.
"""

import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from wf.errors import InvalidWorkflow, Problem
from wf.store.records import JobRecord, RunRecord

STATEMENT: Final = "https://in-toto.io/Statement/v1"
PREDICATE: Final = "https://slsa.dev/provenance/v1"
BUILD_TYPE: Final = "urn:wf:workflow-run:v1"
BUILDER: Final = "urn:wf:runner"

Json = dict[str, Any]


def provenance(
    run: RunRecord,
    jobs: Sequence[JobRecord],
    *,
    project: str,
    remote: str,
    changes: str,
    mask: Callable[[str], str],
) -> Json:
    """The statement.

    Args:
        run: a run that is over.
        jobs: all its jobs.
        project: names the project.
        remote: where its repository was cloned from, if that is known.
        changes: what its files differed in from the commit, as a diff.
        mask: makes secrets unreadable; nothing that a person wrote goes past it.

    Raises:
        InvalidWorkflow: the run left nothing to state it of, or goes on.
    """
    if run.state == "running":
        raise InvalidWorkflow([Problem(f"run {run.id} goes on: what it makes is not known yet")])
    subjects = [_subject(job, each) for job in jobs for each in job.outputs]
    if not subjects:
        raise InvalidWorkflow([Problem(f"run {run.id} left no outputs, so there is nothing to state")])
    statement: Json = {
        "_type": STATEMENT,
        "subject": subjects,
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {"workflow": run.workflow, "inputs": dict(run.inputs)},
                "internalParameters": {"backend": run.backend, "jobs": {job.name: _job(job) for job in jobs}},
                "resolvedDependencies": list(_dependencies(run, jobs, remote)),
            },
            "runDetails": {
                "builder": {"id": BUILDER, "version": {"wf": run.wf_version}},
                "metadata": {
                    "invocationId": f"{project}/{run.id}",
                    "startedOn": run.started,
                    **({"finishedOn": run.finished} if run.finished else {}),
                },
                "byproducts": [_changes(mask(changes))] if changes else [],
            },
        },
    }
    masked: Json = _masked(statement, mask)
    return masked


def _subject(job: JobRecord, output: Any) -> Json:
    return {
        "name": f"{job.name}/{output.name}",
        "digest": {"wfManifest": output.digest},
        **({"annotations": {"dataset": output.dataset}} if output.dataset else {}),
    }


def _job(job: JobRecord) -> Json:
    key = job.key or {}
    facts = {
        "state": job.state,
        "error": job.error,
        "cachedFrom": job.cached_from,
        "reason": job.reason,
        "image": job.image,
        "parameters": key.get("parameters"),
        "env": key.get("env"),
        "secrets": key.get("secrets"),
        "inputs": {each.name: {"source": each.source, "wfManifest": each.digest} for each in job.inputs},
        "metrics": dict(job.metrics),
    }
    return {name: value for name, value in facts.items() if value not in (None, "", {}, [])}


def _dependencies(run: RunRecord, jobs: Sequence[JobRecord], remote: str) -> Iterator[Json]:
    """The commit, images, datasets and files that the jobs were made with, each once."""
    if run.git_commit:
        yield {
            "name": "source",
            **({"uri": f"git+{remote}"} if remote else {}),
            "digest": {"gitCommit": run.git_commit},
            "annotations": {"changed": run.git_dirty},
        }
    found: dict[tuple[str, str], Json] = {}
    for job in jobs:
        for each in _needed_by(job):
            found.setdefault((each["name"], str(each["digest"])), each)
    yield from found.values()


def _needed_by(job: JobRecord) -> Iterator[Json]:
    key: Mapping[str, Any] = job.key or {}
    kind, _, image = str(key.get("image", "")).partition(":")
    if image:
        yield {"name": f"image {job.image}".strip(), "digest": {"sha256" if kind == "sha256" else "wfSoftware": image}}
    for given in job.inputs:
        if given.source and ".outputs." not in given.source:
            yield {"name": f"dataset {given.source}", "digest": {"wfManifest": given.digest}}
    for path, digest in (key.get("code") or {}).items():
        yield {"name": path, "digest": {"sha256": digest}}
    for parameter, digest in (key.get("files") or {}).items():
        yield {"name": f"{job.name}: the file of with.{parameter}", "digest": {"wfManifest": digest}}


def _changes(text: str) -> Json:
    content = text.encode()
    return {
        "name": "changes.diff",
        "digest": {"sha256": hashlib.sha256(content).hexdigest()},
        "mediaType": "text/x-diff",
        "content": base64.b64encode(content).decode(),
    }


def _masked(value: Any, mask: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {name: _masked(each, mask) for name, each in value.items()}
    return [_masked(each, mask) for each in value] if isinstance(value, list | tuple) else value
