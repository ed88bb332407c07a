"""From what the store and the engine know to a `Deployment`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from wf.backends.service import Seen
from wf.deployments.compare import Report
from wf.deployments.fleet import revision_of
from wf.deployments.proxy import Counts
from wf.deployments.spec import Change, Deployment, DeploymentSpec, DeploymentState, Replica, Revision, Shadow
from wf.store.deployments import DeploymentRecord, RevisionRecord


def describe(
    record: DeploymentRecord,
    seen: Sequence[Seen],
    counts: Mapping[str, Counts],
    host_for_jobs: str,
    predictions: Path,
    comparison: Report | None,
) -> Deployment:
    """A deployment as it is now.

    Args:
        record: what the store knows.
        seen: its replicas.
        counts: what its proxy knows of them.
        host_for_jobs: by which containers reach this machine, or nothing.
        predictions: where its prediction log is, if it has kept one.
        comparison: what came of comparing answers, if it has a shadow.
    """
    replicas = tuple(_replica(each, counts) for each in seen)
    spec = replace(serving_revision(record).spec, replicas=record.replicas, enabled=record.enabled)
    return Deployment(
        id=record.id,
        name=record.name,
        spec=spec,
        revision=record.revision,
        state=_state(record, replicas),
        endpoint=f"127.0.0.1:{record.port}",
        grpc_endpoint=f"127.0.0.1:{record.grpc_port}" if spec.grpc_port else None,
        endpoint_for_jobs=f"{host_for_jobs}:{record.port}" if host_for_jobs else None,
        created=record.created,
        revisions=tuple(map(revision, record.revisions)),
        history=tuple(
            Change(each.at, each.action, each.revision, each.by, each.why, each.outcome, each.detail)
            for each in record.changes
        ),
        replicas=replicas,
        shadow=_shadow(revision(record.number(record.shadow)), comparison) if comparison else None,
        prediction_log=str(predictions) if predictions.exists() else None,
    )


def revision(record: RevisionRecord) -> Revision:
    """A revision out of the store."""
    return Revision(
        number=record.number,
        spec=DeploymentSpec.from_json(record.spec),
        image=record.image,
        models=record.models,
        created=record.created,
        by=record.by,
        why=record.why,
    )


def revisions(record: DeploymentRecord) -> dict[int, Revision]:
    """All of them by number."""
    return {each.number: revision(each) for each in record.revisions}


def serving_revision(record: DeploymentRecord) -> Revision:
    """The revision that serves, or the newest while none has served yet."""
    return revision(next((each for each in record.revisions if each.number == record.revision), record.revisions[-1]))


def is_under_way(record: DeploymentRecord) -> bool:
    """Whether somebody changes it, or broke off doing so."""
    return bool(record.changes) and record.changes[-1].outcome == "under way"


def previous_revision(record: DeploymentRecord) -> int:
    """The revision that served before the present one."""
    served = [each.revision for each in record.changes if each.outcome == "succeeded"]
    return next((number for number in reversed(served) if number not in (0, record.revision)), record.revision - 1)


def _shadow(its: Revision, report: Report) -> Shadow:
    """What is told of a comparison."""
    return Shadow(
        revision=its.number,
        percent=its.spec.rollout.percent,
        compared=report.compared,
        equal=report.equal,
        errors=report.errors,
        skipped=report.skipped,
        mean_difference=report.total_difference / report.numbers if report.numbers else None,
        largest_difference=report.largest_difference if report.numbers else None,
        seconds_serving=report.seconds_serving / report.compared if report.compared else None,
        seconds_shadow=report.seconds_shadow / report.compared if report.compared else None,
    )


def _replica(seen: Seen, counts: Mapping[str, Counts]) -> Replica:
    return Replica(
        id=seen.id,
        name=seen.name,
        revision=revision_of(seen),
        phase=seen.phase,
        started=seen.started,
        finished=seen.finished,
        ready=seen.phase == "running" and seen.is_well and seen.name in counts and counts[seen.name].is_up,
        restarts=seen.restarts,
    )


def _state(record: DeploymentRecord, replicas: Sequence[Replica]) -> DeploymentState:
    if is_under_way(record):
        return "updating"
    if not record.enabled:
        return "stopped"
    if record.replicas == 0:
        return "scaled to zero"
    ready = sum(each.ready for each in replicas if each.revision == record.revision)
    return "serving" if ready >= record.replicas else "degraded" if ready else "failed"
