"""The deployments of a project: what can be done with them."""

from contextlib import AbstractContextManager
from pathlib import Path
from uuid import uuid4

from wf.backends.services import PortTakenError
from wf.deployments.changing import changing, locked, recovered
from wf.deployments.checks import check_name, check_spec
from wf.deployments.describe import previous_revision, revision, serving_revision
from wf.deployments.ports import free_ports
from wf.deployments.spec import Deployment, DeploymentSpec, Rollout
from wf.deployments.turning import bring, discard, settle, turn_to
from wf.deployments.workplace import Tell, Workplace, opened
from wf.errors import EnvironmentProblem
from wf.secrets import Secrets
from wf.settings import Settings
from wf.store.deployments import DeploymentRecord


class Deployments:
    """Usable from any thread: each call opens what it needs.

    Every method raises `EnvironmentProblem` where no Docker engine answers, or the deployment is not known.
    """

    def __init__(self, root: Path, settings: Settings, secrets: Secrets, tell: Tell = lambda line: None) -> None:
        self._root = root.resolve()
        self._settings = settings
        self._secrets = secrets
        self._tell = tell

    # Changing

    def create(self, name: str, spec: DeploymentSpec, *, by: str, why: str = "", port: int | None = None) -> Deployment:
        """Start a deployment and wait until it serves. `port` is its port on this machine, a free one if not given.

        Raises:
            EnvironmentProblem: the name or the port is taken, or a model, a secret or an image is missing.
            DeploymentFailed: it did not come up; nothing of it is left.
        """
        check_name(name)
        check_spec(spec)
        with self._opened() as place:
            image, models = place.resolve(spec)
            ident, records = str(uuid4()), place.store.deployments
            with locked(place.store, ident, name):
                taken = {each for record in records.all() for each in (record.port, record.grpc_port)}
                ports = free_ports(taken, port)
                change = records.insert(ident, name, ports, spec.to_json(), image, models, by=by, why=why)
                try:
                    record = place.known(ident)
                    if record.enabled:
                        _bring_to_a_port(place, record, port)
                    records.set(ident, revision=1)
                    records.end_change(change, "succeeded", 1)
                except BaseException:
                    discard(place, place.known(ident))
                    raise
            return place.describe(place.known(ident))

    def update(
        self,
        ref: str,
        spec: DeploymentSpec,
        *,
        by: str,
        why: str = "",
    ) -> Deployment:
        """Replace the spec by another one in the way that it says itself, without a lost request.

        Raises:
            DeploymentFailed: the new revision did not come up or did not hold; the old one serves.
        """
        check_spec(spec)
        action = "shadow" if spec.rollout.strategy == "shadow" else "update"
        with self._opened() as place, changing(place, ref, action, by, why) as change:
            image, models = place.resolve(spec)
            number = place.store.deployments.add_revision(
                change.record.id, spec.to_json(), image, models, by=by, why=why
            )
            turn_to(place, change.record, number, spec.rollout, change.id)
        return self.get(ref)

    def promote(self, ref: str, *, by: str, why: str = "", rollout: Rollout | None = None) -> Deployment:
        """Let the revision serve that has been a shadow, all of its replicas at once unless `rollout` says how.

        Raises:
            EnvironmentProblem: there is no shadow.
            DeploymentFailed: it did not hold; the old revision serves, and there is no shadow any more.
        """
        with self._opened() as place, changing(place, ref, "promote", by, why) as change:
            number = _shadow_of(change.record)
            turn_to(place, change.record, number, rollout or Rollout("blue-green"), change.id)
        return self.get(ref)

    def discard(self, ref: str, *, by: str, why: str = "") -> Deployment:
        """End a shadow; raises `EnvironmentProblem` where there is none."""
        with self._opened() as place, changing(place, ref, "discard", by, why) as change:
            _shadow_of(change.record)
            settle(place, change.record)
        return self.get(ref)

    def rollback(
        self,
        ref: str,
        to: int | None = None,
        *,
        by: str,
        why: str = "",
        rollout: Rollout | None = None,
    ) -> Deployment:
        """Let an earlier revision serve again: the one before the present one, or the one with the number `to`.

        It takes over as it did the first time, unless `rollout` says how.
        """
        with self._opened() as place, changing(place, ref, "rollback", by, why) as change:
            record = change.record
            number = to if to is not None else previous_revision(record)
            if number not in {each.number for each in record.revisions}:
                known = ", ".join(str(each.number) for each in record.revisions)
                raise EnvironmentProblem(f"`{record.name}` has no revision {number}", hint=f"It has {known}.")
            turn_to(place, record, number, rollout or revision(record.number(number)).spec.rollout, change.id)
        return self.get(ref)

    def scale(self, ref: str, replicas: int, *, by: str, why: str = "") -> Deployment:
        """Have so many replicas; with 0 the port answers that there is none."""
        return self._set(ref, "scale", by, why, replicas=replicas)

    def stop(self, ref: str, *, by: str, why: str = "") -> Deployment:
        """Remove its containers. Its port is kept for it."""
        return self._set(ref, "stop", by, why, enabled=False)

    def start(self, ref: str, *, by: str, why: str = "") -> Deployment:
        """Let it serve again after `stop`."""
        return self._set(ref, "start", by, why, enabled=True)

    def delete(self, ref: str, *, by: str) -> None:
        """Remove it with everything that it has: containers, network, history. Its models stay in the store."""
        with self._opened() as place, changing(place, ref, "delete", by, "") as change:
            discard(place, change.record)

    # Looking

    def get(self, ref: str) -> Deployment:
        """A deployment by its id or name."""
        with self._opened() as place:
            return place.describe(recovered(place, place.known(ref)))

    def list(self, name: str | None = None) -> list[Deployment]:
        """Every deployment by name, or the one of a name if there is one."""
        with self._opened() as place:
            records = [each for each in place.store.deployments.all() if name in (None, each.name)]
            mended = [recovered(place, each) for each in records]
            return [place.describe(each) for each in mended if place.store.deployments.find(each.id)]

    def logs(self, ref: str, tail: int = 100) -> dict[str, tuple[str, ...]]:
        """The last lines of each replica, secrets masked."""
        with self._opened() as place:
            record = place.known(ref)
            masker, fleet = place.masker(record), place.fleet(record)
            return {each.name: tuple(fleet.logs(each, tail, masker)) for each in fleet.replicas()}

    def model_folders(self, ref: str) -> tuple[Path, ...]:
        """The folders of the models that serve, in the order of the spec."""
        with self._opened() as place:
            return tuple(map(place.store.artifacts.path, serving_revision(place.known(ref)).models))

    def _set(self, ref: str, action: str, by: str, why: str, **values: object) -> Deployment:
        with self._opened() as place, changing(place, ref, action, by, why) as change:
            place.store.deployments.set(change.record.id, **values)
            settle(place, change.record)
        return self.get(ref)

    def _opened(self) -> AbstractContextManager[Workplace]:
        return opened(self._root, self._settings, self._secrets, self._tell)


def _bring_to_a_port(place: Workplace, record: DeploymentRecord, wanted: int | None) -> None:
    """Have a new deployment serve, at other ports if other programs were quicker; `wanted` must not be another."""
    for attempt in range(_ATTEMPTS):
        try:
            bring(place, place.known(record.id), 1)
        except PortTakenError:
            if wanted is not None or attempt == _ATTEMPTS - 1:
                raise
            taken = {each for other in place.store.deployments.all() for each in (other.port, other.grpc_port)}
            port, grpc_port = free_ports(taken, None)
            place.store.deployments.set(record.id, port=port, grpc_port=grpc_port)
        else:
            return


_ATTEMPTS = 5


def _shadow_of(record: DeploymentRecord) -> int:
    if not record.shadow:
        hint = "`wf deployments update --strategy shadow` begins one."
        raise EnvironmentProblem(f"`{record.name}` has no shadow", hint=hint)
    return record.shadow
