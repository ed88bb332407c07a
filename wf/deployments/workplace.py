"""What a command on deployments works with: the project's store, its engine, its settings and its secrets."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from wf.aliases import find_image
from wf.backends.services import Services
from wf.deployments import liveness, proxy
from wf.deployments.describe import describe
from wf.deployments.fleet import Fleet, Prepared
from wf.deployments.spec import Deployment, DeploymentSpec, Revision
from wf.errors import EnvironmentProblem
from wf.events import Event, Preparing
from wf.logs import Masker
from wf.plan import Image, ProjectImage, SecretRef
from wf.project import project_id
from wf.references import parse_dataset
from wf.secrets import Secrets
from wf.settings import Settings
from wf.store import Store
from wf.store.deployments import DeploymentRecord

Tell = Callable[[str], None]


class Workplace(Struct, frozen=True):
    """Open for one command, in one thread: see `opened`."""

    root: Path
    settings: Settings
    secrets: Secrets
    tell: Tell
    store: Store
    services: Services

    def known(self, ref: str) -> DeploymentRecord:
        """A deployment by its id or name; raises `EnvironmentProblem` where there is none."""
        found = self.store.deployments.find(ref)
        if found is None:
            near = get_close_matches(ref, [each.name for each in self.store.deployments.all()], n=1)
            hint = f"Did you mean `{near[0]}`?" if near else "`wf deployments list` shows those that there are."
            raise EnvironmentProblem(f"there is no deployment `{ref}` in this project", hint=hint)
        return found

    def describe(self, record: DeploymentRecord) -> Deployment:
        """A deployment as it is now."""
        fleet = self.fleet(record)
        doorway = self.services.doorway()
        predictions = self.store.layout.predictions(record.id)
        host = doorway.host if doorway else ""
        comparison = fleet.comparison() if record.shadow else None
        return describe(record, fleet.replicas(), fleet.counts(), host, predictions, comparison)

    def fleet(self, record: DeploymentRecord) -> Fleet:
        """Its containers."""
        return Fleet(
            self.services,
            self.store.artifacts,
            deployment=record.id,
            name=record.name,
            ports=(record.port, record.grpc_port),
            predictions=self.store.layout.predictions(record.id),
            labels={"wf": "1", "wf.project": project_id(self.root).removeprefix("p")},
            proxy_image=lambda: self.services.image(self._image(proxy.IMAGE)),
            watcher_image=lambda: self.services.image(self._image(liveness.IMAGE)),
            tell=self.tell,
        )

    def resolve(self, spec: DeploymentSpec) -> tuple[str, tuple[str, ...]]:
        """The image's id and the models' digests, which a revision keeps.

        Raises:
            EnvironmentProblem: one of them, or a secret, is missing.
        """
        digests = tuple(self._digest(each.model) for each in spec.models)
        image = self.services.image(self._image(spec.image))
        self._values(spec)
        return image, digests

    def prepare(self, wanted: Revision) -> Prepared:
        """What replicas of a revision are started from."""
        image = self._image(wanted.spec.image)
        if not self.services.has_image(wanted.image):
            wanted = replace(wanted, image=self.services.image(image))
        return Prepared(wanted, self._values(wanted.spec), isinstance(image, ProjectImage))

    def masker(self, record: DeploymentRecord) -> Masker:
        """Hides the secrets that any of its revisions names."""
        names = [name for each in record.revisions for name in each.spec["secrets"].values()]
        return Masker(self.secrets.resolve(SecretRef(name, optional=True) for name in names).values())

    def _image(self, name: str) -> Image:
        return find_image(name, self.settings.images, self.root)

    def _values(self, spec: DeploymentSpec) -> dict[str, str]:
        values = self.secrets.resolve(SecretRef(name) for name in spec.secrets.values())
        return {variable: values[name] for variable, name in spec.secrets.items()}

    def _digest(self, ref: str) -> str:
        """The content that a model's id or name, or else a dataset's, or a run's output means now."""
        if ref.count("/") > 1:
            return self.store.find_digest(ref)
        try:
            return self.store.models.find(ref).digest
        except EnvironmentProblem:
            if parse_dataset(ref) is None or (":" not in ref and not self.store.datasets.exists(ref)):
                raise
        return self.store.datasets.find(ref).digest


@contextmanager
def opened(root: Path, settings: Settings, secrets: Secrets, tell: Tell) -> Iterator[Workplace]:
    """A workplace, closed at the end; raises `EnvironmentProblem` where no Docker engine answers."""

    def emit(event: Event) -> None:
        if isinstance(event, Preparing):
            tell(f"{event.what}: {event.line}")

    store = Store.open(root)
    try:
        with Services(root, settings, emit) as services:
            yield Workplace(root, settings, secrets, tell, store, services)
    finally:
        store.close()
