"""Datasets and their versions. One that is being filled lies beside the store until it is committed; see `files`."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from threading import Lock
from typing import Any
from uuid import uuid4

from msgspec import Struct

from wf.control.http import Request, Response, error_response
from wf.errors import WfError
from wf.gradient.account import STORAGE
from wf.gradient.files import add_files
from wf.gradient.routes import Routes, fields_of, page_of
from wf.gradient.shared import Project
from wf.references import LATEST
from wf.store import Store
from wf.store.datasets import new_version
from wf.store.layout import in_use, remove_tree
from wf.store.records import Dataset, DatasetVersion


class Draft(Struct, eq=False):
    """A version that is being filled."""

    folder: Path
    message: str


class Drafts:
    """The versions that jobs of a run are filling, by dataset and version. What is not committed goes with the run."""

    def __init__(self) -> None:
        self._drafts: dict[tuple[str, str], Draft] = {}
        self._lock = Lock()
        self._held = ExitStack()
        """Keeps others from clearing the folder away in which the drafts lie."""

    def open(self, store: Store, dataset: str, message: str) -> str:
        """Begin a version."""
        folder = store.layout.temporary / f"draft-{uuid4().hex}"
        version = new_version()
        with self._lock:
            if not self._drafts:
                self._held.enter_context(in_use(store.layout.temporary))
            folder.mkdir()
            self._drafts[dataset, version] = Draft(folder, message)
        return version

    def get(self, dataset: str, version: str) -> Draft | None:
        """A version that is not committed yet."""
        return self._drafts.get((dataset, version))

    def take(self, dataset: str, version: str) -> Draft | None:
        """The same, and nobody else has it any more."""
        with self._lock:
            return self._drafts.pop((dataset, version), None)

    def close(self) -> None:
        """Discard what was never committed."""
        while self._drafts:
            _, draft = self._drafts.popitem()
            remove_tree(draft.folder)
        self._held.close()


def add_datasets(routes: Routes, project: Project, drafts: Drafts) -> None:
    """Answer what is asked about datasets, their versions, tags and files."""
    api = _Api(project, drafts)
    routes.add("GET", "/datasets", api.list)
    routes.add("POST", "/datasets", api.create)
    routes.add("GET", "/datasets/ref/{ref...}", api.find)
    add_files(routes, api.folder_of)
    routes.add("GET", "/datasets/{dataset...}/versions", api.versions)
    routes.add("POST", "/datasets/{dataset...}/versions", api.create_version)
    routes.add("GET", "/datasets/{dataset...}/versions/{version}", api.version)
    routes.add("POST", "/datasets/{dataset...}/versions/{version}", api.change_version)
    routes.add("DELETE", "/datasets/{dataset...}/versions/{version}", api.delete_version)
    routes.add("GET", "/datasets/{dataset...}/tags", api.tags)
    routes.add("PUT", "/datasets/{dataset...}/tags/{tag}", api.tag)
    routes.add("DELETE", "/datasets/{dataset...}/tags/{tag}", api.untag)
    routes.add("GET", "/datasets/{dataset...}", api.get)
    routes.add("DELETE", "/datasets/{dataset...}", api.delete)


class _Api:
    def __init__(self, project: Project, drafts: Drafts) -> None:
        self._project = project
        self._drafts = drafts

    def list(self, request: Request) -> object:
        with self._project.store() as store:
            return [_dataset(each) for each in store.datasets.all()][page_of(request)]

    def create(self, request: Request) -> object:
        with self._project.store() as store:
            return _dataset(store.datasets.create(str(fields_of(request).get("name", ""))))

    def get(self, _: Request, dataset: str) -> object:
        with self._project.store() as store:
            return _dataset(store.datasets.get(dataset))

    def delete(self, _: Request, dataset: str) -> object:
        with self._project.store() as store:
            store.datasets.delete(store.datasets.get(dataset).name)
        return {}

    def find(self, request: Request, ref: str) -> object:
        """A dataset, with the version that the reference names if there is one."""
        del request
        dataset, _, version = ref.partition(":")
        with self._project.store() as store:
            known = store.datasets.get(dataset)
            if self._drafts.get(known.id, version):
                return _dataset(known) | {"version": {"version": version, "isCommitted": False, "tags": []}}
            if not known.versions:
                return _dataset(known)
            return _dataset(known) | {"version": _version(store.datasets.find(f"{known.name}:{version or LATEST}"))}

    def versions(self, request: Request, dataset: str) -> object:
        with self._project.store() as store:
            return [_version(each) for each in store.datasets.get(dataset).versions][page_of(request)]

    def create_version(self, request: Request, dataset: str) -> object:
        message = str(fields_of(request).get("message") or "")
        with self._project.store() as store:
            return {"version": self._drafts.open(store, store.datasets.get(dataset).id, message), "message": message}

    def version(self, _: Request, dataset: str, version: str) -> object:
        with self._project.store() as store:
            known = store.datasets.get(dataset)
            if draft := self._drafts.get(known.id, version):
                return {"version": version, "message": draft.message, "isCommitted": False, "tags": []}
            return _version(store.datasets.find(f"{known.name}:{version}"))

    def change_version(self, request: Request, dataset: str, version: str) -> object | Response:
        """Commit it, or say something else about it."""
        given = fields_of(request)
        with self._project.store() as store:
            known = store.datasets.get(dataset)
            draft = self._drafts.get(known.id, version)
            if draft is None:
                return error_response(400, f"version {version} of `{known.name}` is committed: it never changes")
            draft.message = str(given.get("message") or draft.message)
            if given.get("isCommitted") and self._drafts.take(known.id, version):
                try:
                    return _version(store.datasets.add_folder(known.name, draft.folder, version, draft.message))
                finally:
                    remove_tree(draft.folder)
        return {"version": version, "message": draft.message, "isCommitted": False, "tags": []}

    def delete_version(self, _: Request, dataset: str, version: str) -> object:
        with self._project.store() as store:
            known = store.datasets.get(dataset)
            if draft := self._drafts.take(known.id, version):
                remove_tree(draft.folder)
            else:
                store.datasets.delete(f"{known.name}:{version}")
        return {}

    def tags(self, request: Request, dataset: str) -> object:
        with self._project.store() as store:
            versions = store.datasets.get(dataset).versions
        named = [{"name": tag, "version": _version(each)} for each in versions for tag in each.tags]
        return sorted(named, key=lambda each: str(each["name"]))[page_of(request)]

    def tag(self, request: Request, dataset: str, tag: str) -> object:
        with self._project.store() as store:
            known = store.datasets.get(dataset)
            version = store.datasets.tag(f"{known.name}:{fields_of(request).get('version', '')}", tag)
        return {"name": tag, "version": _version(version)}

    def untag(self, _: Request, dataset: str, tag: str) -> object:
        with self._project.store() as store:
            store.datasets.untag(dataset, tag)
        return {}

    def folder_of(self, dataset: str, version: str) -> tuple[Path, bool] | None:
        """Where the files of a version lie, and whether they may change."""
        with self._project.store() as store:
            try:
                known = store.datasets.get(dataset)
                if draft := self._drafts.get(known.id, version):
                    return draft.folder, True
                return store.artifacts.path(store.datasets.find(f"{known.name}:{version}").digest), False
            except WfError:
                return None


def _dataset(dataset: Dataset) -> dict[str, Any]:
    return {"id": dataset.id, "name": dataset.name, "description": "", "storageProvider": STORAGE}


def _version(version: DatasetVersion) -> Mapping[str, Any]:
    return {
        "version": version.version,
        "message": version.message,
        "isCommitted": True,
        "tags": [{"name": tag} for tag in version.tags],
        "dtCreated": version.created,
    }
