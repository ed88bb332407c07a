"""The deployments of a project: every change is recorded, carried out, and undone where it does not hold.

A change holds a lock while it goes on. If its `wf` is killed, the next command that looks at the deployment finds the
lock free and the change under way: it then brings the deployment to the revision that serves by the history.
"""

import fcntl
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace as changed
from difflib import get_close_matches
from pathlib import Path
from typing import Final
from uuid import uuid4

from wf.aliases import find_image
from wf.backends.services import Services
from wf.deployments import proxy
from wf.deployments.checks import check_name, check_spec
from wf.deployments.describe import describe, is_under_way, previous_revision, revision, revisions, serving_revision
from wf.deployments.fleet import Fleet, Prepared
from wf.deployments.rollout import Conditions, reconcile, replace
from wf.deployments.spec import Deployment, DeploymentSpec, Revision, Strategy
from wf.errors import DeploymentFailed, EnvironmentProblem, WfError
from wf.events import Event, Preparing
from wf.logs import Masker
from wf.plan import ProjectImage, SecretRef
from wf.project import project_id
from wf.references import parse_dataset
from wf.secrets import Secrets
from wf.settings import Settings
from wf.store import Store
from wf.store.deployments import DeploymentRecord
from wf.store.layout import remove_tree

FIRST_PORT: Final = 18500
_PORTS: Final = 1000
KILLED: Final = "its wf was killed"

Tell = Callable[[str], None]


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
        with self._opened() as (store, services):
            image, models = self._resolve(store, services, spec)
            self._values(spec)
            ident = str(uuid4())
            with self._lock(store, ident, name):
                ports = _free_ports(store, port)
                change = store.deployments.insert(ident, name, ports, spec.to_json(), image, models, by=by, why=why)
                try:
                    record = _known(store, ident)
                    if record.enabled:
                        self._bring(store, services, record, 1)
                    store.deployments.set(ident, revision=1)
                    store.deployments.end_change(change, "succeeded", 1)
                except BaseException:
                    self._discard(store, services, _known(store, ident))
                    raise
            return self._describe(store, services, _known(store, ident))

    def update(
        self,
        ref: str,
        spec: DeploymentSpec,
        *,
        strategy: Strategy = "rolling",
        by: str,
        why: str = "",
        conditions: Conditions | None = None,
    ) -> Deployment:
        """Replace the spec by another one, without a lost request.

        Raises:
            DeploymentFailed: the new revision did not come up or did not hold; the old one serves.
        """
        check_spec(spec)
        with self._changing(ref, "update", by, why) as (store, services, record, change):
            image, models = self._resolve(store, services, spec)
            self._values(spec)
            number = store.deployments.add_revision(record.id, spec.to_json(), image, models, by=by, why=why)
            self._turn_to(store, services, record, number, conditions or Conditions(strategy), change)
        return self.get(ref)

    def rollback(
        self,
        ref: str,
        to: int | None = None,
        *,
        strategy: Strategy = "rolling",
        by: str,
        why: str = "",
        conditions: Conditions | None = None,
    ) -> Deployment:
        """Let an earlier revision serve again: the one before the present one, or the one with the number `to`."""
        with self._changing(ref, "rollback", by, why) as (store, services, record, change):
            number = to if to is not None else previous_revision(record)
            if number not in {each.number for each in record.revisions}:
                known = ", ".join(str(each.number) for each in record.revisions)
                raise EnvironmentProblem(f"`{record.name}` has no revision {number}", hint=f"It has {known}.")
            self._turn_to(store, services, record, number, conditions or Conditions(strategy), change)
        return self.get(ref)

    def scale(self, ref: str, replicas: int, *, by: str, why: str = "") -> Deployment:
        """Have so many replicas; with 0 the port answers that there is none."""
        with self._changing(ref, "scale", by, why) as (store, services, record, _):
            store.deployments.set(record.id, replicas=replicas)
            self._settle(store, services, record)
        return self.get(ref)

    def stop(self, ref: str, *, by: str, why: str = "") -> Deployment:
        """Remove its containers. Its port is kept for it."""
        with self._changing(ref, "stop", by, why) as (store, services, record, _):
            store.deployments.set(record.id, enabled=False)
            self._settle(store, services, record)
        return self.get(ref)

    def start(self, ref: str, *, by: str, why: str = "") -> Deployment:
        """Let it serve again after `stop`."""
        with self._changing(ref, "start", by, why) as (store, services, record, _):
            store.deployments.set(record.id, enabled=True)
            self._settle(store, services, record)
        return self.get(ref)

    def delete(self, ref: str, *, by: str) -> None:
        """Remove it with everything that it has: containers, network, history. Its models stay in the store."""
        with self._changing(ref, "delete", by, "") as (store, services, record, _):
            self._discard(store, services, record)

    # Looking

    def get(self, ref: str) -> Deployment:
        """A deployment by its id or name."""
        with self._opened() as (store, services):
            return self._describe(store, services, self._recovered(store, services, _known(store, ref)))

    def list(self, name: str | None = None) -> list[Deployment]:
        """Every deployment by name, or the one of a name if there is one."""
        with self._opened() as (store, services):
            records = [each for each in store.deployments.all() if name in (None, each.name)]
            recovered = [self._recovered(store, services, each) for each in records]
            return [self._describe(store, services, each) for each in recovered if store.deployments.find(each.id)]

    def logs(self, ref: str, tail: int = 100) -> dict[str, tuple[str, ...]]:
        """The last lines of each replica, secrets masked."""
        with self._opened() as (store, services):
            record = _known(store, ref)
            names = [name for each in record.revisions for name in each.spec["secrets"].values()]
            known = self._secrets.resolve(SecretRef(name, optional=True) for name in names)
            masker = Masker(known.values())
            fleet = self._fleet(store, services, record)
            return {each.name: tuple(fleet.logs(each, tail, masker)) for each in fleet.replicas()}

    def model_folders(self, ref: str) -> tuple[Path, ...]:
        """The folders of the models that serve, in the order of the spec."""
        with self._opened() as (store, _):
            return tuple(map(store.artifacts.path, serving_revision(_known(store, ref)).models))

    # Carrying out

    def _turn_to(
        self,
        store: Store,
        services: Services,
        record: DeploymentRecord,
        number: int,
        conditions: Conditions,
        change: int,
    ) -> None:
        """Let another revision serve, or come back to the present one."""
        record = _known(store, record.id)
        target = revision(record.number(number))
        fleet = self._fleet(store, services, record)

        def promote() -> None:
            store.deployments.set(
                record.id, revision=number, replicas=target.spec.replicas, enabled=target.spec.enabled
            )

        serving = record.enabled and record.replicas > 0
        if not (serving and target.spec.enabled and target.spec.replicas):
            promote()
            self._settle(store, services, record)
            return
        try:
            new = self._prepared(services, target)
            replace(fleet, new, target.spec.replicas, revisions(record), conditions, promote)
        except BaseException as error:
            present = _known(store, record.id)
            if present.revision == number and number != record.revision:
                raise  # it serves, and only the old replicas could not be removed: recovery does that
            self._tell(f"going back to revision {present.revision}")
            self._bring(store, services, present, present.revision)
            if isinstance(error, DeploymentFailed):
                what = str(error)
                store.deployments.end_change(change, "rolled back", present.revision, what)
                message = f"revision {number} of `{record.name}` was rolled back: {what}"
                raise DeploymentFailed(message, hint=f"Revision {present.revision} serves.") from error
            raise

    def _settle(self, store: Store, services: Services, record: DeploymentRecord) -> None:
        """Bring a deployment to what it is to be by its record."""
        record = _known(store, record.id)
        if record.enabled:
            self._bring(store, services, record, record.revision)
        else:
            self._fleet(store, services, record).clear()

    def _bring(self, store: Store, services: Services, record: DeploymentRecord, number: int) -> None:
        wanted = self._prepared(services, revision(record.number(number)))
        reconcile(self._fleet(store, services, record), wanted, record.replicas, revisions(record))

    def _discard(self, store: Store, services: Services, record: DeploymentRecord) -> None:
        self._fleet(store, services, record).clear()
        remove_tree(store.layout.predictions(record.id).parent)
        store.deployments.delete(record.id)

    def _prepared(self, services: Services, wanted: Revision) -> Prepared:
        image = find_image(wanted.spec.image, self._settings.images, self._root)
        if not services.has_image(wanted.image):
            wanted = changed(wanted, image=services.image(image))
        return Prepared(wanted, self._values(wanted.spec), isinstance(image, ProjectImage))

    def _resolve(self, store: Store, services: Services, spec: DeploymentSpec) -> tuple[str, tuple[str, ...]]:
        """The image's id and the models' digests, which a revision keeps."""
        digests = tuple(_digest(store, each.model) for each in spec.models)
        return services.image(find_image(spec.image, self._settings.images, self._root)), digests

    def _values(self, spec: DeploymentSpec) -> dict[str, str]:
        values = self._secrets.resolve(SecretRef(name) for name in spec.secrets.values())
        return {variable: values[name] for variable, name in spec.secrets.items()}

    # Opening and locking

    @contextmanager
    def _opened(self) -> "Iterator[tuple[Store, Services]]":
        store = Store.open(self._root)
        try:
            with Services(self._root, self._settings, self._emit) as services:
                yield store, services
        finally:
            store.close()

    @contextmanager
    def _changing(
        self, ref: str, action: str, by: str, why: str
    ) -> "Iterator[tuple[Store, Services, DeploymentRecord, int]]":
        """One change of a deployment, recorded with its outcome."""
        with self._opened() as (store, services):
            found = _known(store, ref)
            with self._lock(store, found.id, found.name):
                record = self._recover(store, services, _known(store, ref))
                change = store.deployments.begin_change(record.id, action, record.revision, by, why)
                try:
                    yield store, services, record, change
                except BaseException as error:
                    self._end(store, record.id, change, error)
                    raise
                self._end(store, record.id, change, None)

    def _end(self, store: Store, deployment: str, change: int, error: BaseException | None) -> None:
        record = store.deployments.find(deployment)
        if record is None or all(each.outcome != "under way" for each in record.changes):
            return
        if error is None:
            store.deployments.end_change(change, "succeeded", record.revision)
        else:
            what = str(error) if isinstance(error, WfError) else type(error).__name__
            store.deployments.end_change(change, "failed", record.revision, what)

    @contextmanager
    def _lock(self, store: Store, deployment: str, name: str) -> Iterator[None]:
        """Let one `wf` at a time change a deployment; the lock ends with its process."""
        store.layout.deployments.mkdir(exist_ok=True)
        place = store.layout.deployments / f"{deployment}.lock"
        descriptor = os.open(place, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                hint = "Wait for its end, or stop it."
                raise EnvironmentProblem(f"`{name}` is being changed by another wf", hint=hint) from None
            try:
                yield
            finally:
                if store.deployments.find(deployment) is None:
                    place.unlink(missing_ok=True)
        finally:
            os.close(descriptor)

    # After a wf that was killed

    def _recovered(self, store: Store, services: Services, record: DeploymentRecord) -> DeploymentRecord:
        """The same, unless a change broke off that nobody carries out any more."""
        if not is_under_way(record):
            return record
        try:
            with self._lock(store, record.id, record.name):
                return self._recover(store, services, _known(store, record.id))
        except EnvironmentProblem:
            return record  # somebody does, or it cannot be mended now

    def _recover(self, store: Store, services: Services, record: DeploymentRecord) -> DeploymentRecord:
        if not is_under_way(record):
            return record
        broken = record.changes[-1]
        self._tell(f"`{record.name}`: the last {broken.action} broke off")
        if record.revision == 0 or broken.action == "delete":
            self._discard(store, services, record)
            raise EnvironmentProblem(
                f"deployment `{record.name}` is removed: {KILLED} during its {broken.action}", hint="Create it anew."
            )
        self._settle(store, services, record)
        is_done = broken.action not in ("update", "rollback") or record.revision != broken.revision
        store.deployments.end_change(broken.id, "succeeded" if is_done else "rolled back", record.revision, KILLED)
        return _known(store, record.id)

    def _describe(self, store: Store, services: Services, record: DeploymentRecord) -> Deployment:
        fleet = self._fleet(store, services, record)
        doorway = services.doorway()
        predictions = store.layout.predictions(record.id)
        return describe(record, fleet.replicas(), fleet.counts(), doorway.host if doorway else "", predictions)

    def _fleet(self, store: Store, services: Services, record: DeploymentRecord) -> Fleet:
        project = project_id(self._root).removeprefix("p")
        return Fleet(
            services,
            store.artifacts,
            deployment=record.id,
            name=record.name,
            ports=(record.port, record.grpc_port),
            predictions=store.layout.predictions(record.id),
            labels={"wf": "1", "wf.project": project},
            proxy_image=lambda: services.image(find_image(proxy.IMAGE, self._settings.images, self._root)),
            tell=self._tell,
        )

    def _emit(self, event: Event) -> None:
        if isinstance(event, Preparing):
            self._tell(f"{event.what}: {event.line}")


def _free_ports(store: Store, wanted: int | None) -> tuple[int, int]:
    """Ports of this machine for HTTP and gRPC, of which the first may be asked for."""
    taken = {port for each in store.deployments.all() for port in (each.port, each.grpc_port)}
    if wanted is not None and (wanted in taken or not _is_free(wanted)):
        raise EnvironmentProblem(f"port {wanted} of this machine is taken", hint="Without --port, a free one is found.")
    candidates = (port for port in range(FIRST_PORT, FIRST_PORT + _PORTS) if port not in {*taken, wanted})
    free = (port for port in candidates if _is_free(port))
    return wanted or next(free), next(free)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _known(store: Store, ref: str) -> DeploymentRecord:
    found = store.deployments.find(ref)
    if found is None:
        near = get_close_matches(ref, [each.name for each in store.deployments.all()], n=1)
        hint = f"Did you mean `{near[0]}`?" if near else "`wf deployments list` shows those that there are."
        raise EnvironmentProblem(f"there is no deployment `{ref}` in this project", hint=hint)
    return found


def _digest(store: Store, ref: str) -> str:
    """The content that a model's id or name, or else a dataset's, means now."""
    try:
        return store.models.find(ref).digest
    except EnvironmentProblem:
        if parse_dataset(ref) is None or (":" not in ref and not store.datasets.exists(ref)):
            raise
    return store.datasets.find(ref).digest
