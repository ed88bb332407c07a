"""Models: listed, registered from a dataset, uploaded, downloaded."""

import io
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from uuid import uuid4

from wf.actions.create_model import find_model_type
from wf.control.http import Request, Response, error_response, json_response
from wf.errors import InvalidWorkflow, Problem
from wf.gradient.routes import Routes, conditions_of, fields_of
from wf.gradient.shared import Project
from wf.store import Store
from wf.store.archives import extract_zip
from wf.store.ids import new_id
from wf.store.layout import in_use, remove_tree
from wf.store.records import Model

if TYPE_CHECKING:
    from wf.plan import ModelType


def add_models(routes: Routes, project: Project) -> None:
    """Answer what is asked about models."""
    api = _Api(project)
    routes.add("GET", "/mlModels/getModelList", api.list)
    routes.add("POST", "/mlModels/createModelV2", api.create)
    routes.add("GET", "/mlModels/getPresignedModelUrl", api.upload_address)
    routes.add("PUT", "/wf-models/{ident}/{name}", api.upload)
    routes.add("POST", "/mlModels/deleteModel", api.delete)
    routes.add("GET", "/mlModels/listFiles", api.files)
    routes.add("GET", "/wf-model-files/{ident}/{name...}", api.file)


class _Api:
    def __init__(self, project: Project) -> None:
        self._project = project
        self._announced: dict[str, tuple[str, ModelType]] = {}
        """Models that have an id and wait for their content: name and type."""

    def list(self, request: Request) -> object:
        wanted = conditions_of(request)
        with self._project.store() as store:
            found = [self._described(each) for each in store.models.all()]
        shown = [each for each in found if all(each.get(key) == value for key, value in wanted.items())]
        return {"modelList": shown, "total": len(shown)}

    def create(self, request: Request) -> object:
        """From a dataset if one is named; otherwise its content follows."""
        given = request.query
        name, kind = given.get("name", ""), find_model_type(given.get("modelType", ""))
        if not name or kind is None:
            known = "Tensorflow, ONNX or Custom"
            raise InvalidWorkflow([Problem("a model needs a name, and one of the types " + known)])
        if dataset := given.get("datasetRef"):
            with self._project.store() as store:
                return self._described(store.models.create(name, kind, dataset, run=request.run, job=request.job))
        ident = new_id(12, "mo")
        self._announced[ident] = name, kind
        return {"id": ident}

    def upload_address(self, request: Request) -> object:
        return f"{request.base}/wf-models/{quote(request.query['modelHandle'])}/{quote(request.query['fileName'])}"

    def upload(self, request: Request, ident: str, name: str) -> Response:
        """The client wraps what it puts there into a form, without saying so."""
        if ident not in self._announced:
            return error_response(404, f"no model {ident} waits for its content")
        content = _unwrapped(request.body)
        with self._project.store() as store, in_use(store.layout.temporary):
            folder = store.layout.temporary / f"upload-{uuid4().hex}"
            folder.mkdir()
            try:
                if zipfile.is_zipfile(io.BytesIO(content)):
                    extract_zip(io.BytesIO(content), folder)
                else:
                    (folder / Path(name).name).write_bytes(content)
                model_name, kind = self._announced.pop(ident)
                store.models.add_folder(ident, model_name, kind, folder, run=request.run, job=request.job)
            finally:
                remove_tree(folder)
        return json_response({})

    def delete(self, request: Request) -> object:
        ident = str(fields_of(request).get("id", ""))
        if self._announced.pop(ident, None) is None:
            with self._project.store() as store:
                store.models.delete(ident)
        return {}

    def files(self, request: Request) -> object:
        given = fields_of(request)
        with self._project.store() as store:
            model = store.models.find(str(given.get("id", "")))
            folder = store.artifacts.path(model.digest)
        shown = []
        for path in sorted(each for each in folder.rglob("*") if each.is_file() and not each.is_symlink()):
            name = path.relative_to(folder).as_posix()
            entry: dict[str, Any] = {"file": name}
            if given.get("links"):
                entry["url"] = f"{request.base}/wf-model-files/{model.id}/{quote(name)}"
            if given.get("size"):
                entry["size"] = path.stat().st_size
            shown.append(entry)
        return shown

    def file(self, _: Request, ident: str, name: str) -> Response:
        with self._project.store() as store:
            content = _content(store, store.models.find(ident), name)
        if content is None:
            return error_response(404, f"model {ident} has no file {name}")
        return Response(200, content, "application/octet-stream")

    def _described(self, model: Model) -> dict[str, Any]:
        return {
            "id": model.id,
            "name": model.name,
            "projectId": self._project.id,
            "modelType": model.type,
            "url": model.dataset,
            "datasetRef": model.dataset,
            "deploymentState": None,
            "summary": dict(model.metadata),
            "tags": [],
            "dtCreated": model.created,
        }


def _content(store: Store, model: Model, name: str) -> bytes | None:
    folder = store.artifacts.path(model.digest)
    path = folder / name
    if path.is_symlink() or not path.is_file() or not path.resolve().is_relative_to(folder.resolve()):
        return None
    return path.read_bytes()


def _unwrapped(body: bytes) -> bytes:
    """The file in a form of one field, or the body itself where it is none."""
    boundary, _, rest = body.partition(b"\r\n")
    head, _, content = rest.partition(b"\r\n\r\n")
    if not boundary.startswith(b"--") or not head.lower().startswith(b"content-disposition: form-data"):
        return body
    return content.rpartition(b"\r\n" + boundary)[0]
