"""Deployments: in GraphQL as the last client asks, and in REST as scripts of 2021 did."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, Final

from wf.control.http import Request, json_response
from wf.deployments.parse import MODELS, parse_spec
from wf.deployments.service import Deployments
from wf.deployments.spec import Deployment, DeploymentSpec, ModelMount, Replica, Revision
from wf.errors import InvalidWorkflow, Problem, WfError
from wf.gradient.graphql import execute
from wf.gradient.routes import Routes, conditions_of, fields_of
from wf.gradient.shared import Project

TF_SERVING_PORT: Final = 8501
TF_SERVING_MODEL: Final = "/models/model"
"""Where TensorFlow Serving looks for a model when nothing is said."""

_PHASES: Final = {"starting": "PENDING", "running": "RUNNING", "restarting": "PENDING", "exited": "STOPPED"}


def add_deployments(routes: Routes, project: Project, deployments: Deployments) -> None:
    """Answer what is asked about deployments."""
    api = _Api(project, deployments)
    routes.add("POST", "/graphql", api.graphql)
    for version in ("", "/v2"):
        routes.add("POST", f"/deployments{version}/createDeployment", api.create_legacy)
        routes.add("POST", f"/deployments{version}/updateDeployment", api.update_legacy)
        routes.add("POST", f"/deployments{version}/deleteDeployment", api.delete_legacy)
    routes.add("GET", "/deployments/getDeploymentList", api.list_legacy)


class _Api:
    def __init__(self, project: Project, deployments: Deployments) -> None:
        self._project = project
        self._deployments = deployments

    # GraphQL

    def graphql(self, request: Request) -> object:
        asked = fields_of(request)
        by = request.by
        resolvers: dict[str, Callable[[Mapping[str, Any]], object]] = {
            "createDeployment": lambda given: self._create(given["input"], by),
            "updateDeployment": lambda given: self._update(given["input"], by),
            "deleteDeployment": lambda given: self._delete(given["input"], by),
            "deployment": lambda given: self._one(str(given["id"])),
            "deployments": lambda given: {"nodes": [_described(each) for each in self._all(given.get("name"))]},
        }
        try:
            return {"data": execute(str(asked.get("query", "")), asked.get("variables") or {}, resolvers)}
        except WfError as error:
            # The client shows the message of an answer that is no error in HTTP.
            return {"errors": [{"message": _message(error)}]}

    def _create(self, given: Mapping[str, Any], by: str) -> object:
        spec = parse_spec(given["spec"] or {})
        return _payload(self._deployments.create(given["name"], spec, by=by).id)

    def _update(self, given: Mapping[str, Any], by: str) -> object:
        if given.get("spec"):
            self._deployments.update(given["id"], parse_spec(given["spec"]), by=by)
        if given.get("name") and given["name"] != self._deployments.get(given["id"]).name:
            hint = "create it under the new name, and delete this one"
            raise InvalidWorkflow([Problem("wf cannot rename a deployment", hint=hint)])
        return _payload(given["id"])

    def _delete(self, given: Mapping[str, Any], by: str) -> object:
        self._deployments.delete(given["id"], by=by)
        return _payload(given["id"])

    def _one(self, ref: str) -> object:
        found = next((each for each in self._all(None) if ref in {each.id, each.name}), None)
        return _described(found) if found else None

    def _all(self, name: str | None) -> list[Deployment]:
        return [each for each in self._deployments.list() if name in {None, each.name}]

    # As scripts of 2021 ask

    def create_legacy(self, request: Request) -> object:
        """It is there and does not run yet, until `deployments start`."""
        given = fields_of(request)
        created = self._deployments.create(given["name"], legacy_spec(given), by=request.by)
        return {"deployment": {"id": created.id}}

    def update_legacy(self, request: Request) -> object:
        given, by = fields_of(request), request.by
        if (running := given.get("isRunning")) is not None:
            change = self._deployments.start if running else self._deployments.stop
            change(given["id"], by=by)
        if count := (given.get("upd") or {}).pop("instanceCount", None):
            self._deployments.scale(given["id"], int(count), by=by)
        if rest := given.get("upd"):
            hint = "`deployments update --id ID --spec FILE` changes all of it"
            raise InvalidWorkflow([Problem(f"wf cannot change {', '.join(rest)} so", hint=hint)])
        return {"deployment": {"id": given["id"]}}

    def delete_legacy(self, request: Request) -> object:
        self._deployments.delete(fields_of(request)["id"], by=request.by)
        return {}

    def list_legacy(self, request: Request) -> object:
        wanted = conditions_of(request)
        found = [self._described_legacy(each) for each in self._deployments.list()]
        shown = [each for each in found if all(each.get(key) == value for key, value in wanted.items())]
        return json_response({"deploymentList": shown})

    def _described_legacy(self, deployment: Deployment) -> dict[str, Any]:
        spec = deployment.spec
        return {
            "id": deployment.id,
            "name": deployment.name,
            "state": "Running" if deployment.state in {"serving", "degraded", "updating"} else "Stopped",
            "endpoint": _endpoint(deployment),
            "apiType": "REST",
            "deploymentType": "Tensorflow Serving on K8s" if spec.models else "Custom",
            "modelId": spec.models[0].model if spec.models else None,
            "projectId": self._project.id,
            "imageUrl": spec.image,
            "instanceCount": spec.replicas,
            "machineType": None,
            "command": " ".join(spec.command) or None,
            "dtCreated": deployment.created,
            "tags": [],
        }


def legacy_spec(given: Mapping[str, Any]) -> DeploymentSpec:
    """What `deployments create --deploymentType ...` asks for."""
    kind = str(given.get("deploymentType", ""))
    is_serving = kind.lower().startswith("t")
    if not kind.lower().startswith(("t", "c")):
        raise InvalidWorkflow(
            [Problem(f"wf has no deployments of type `{kind}`", hint="TFServing and Custom are known")]
        )
    path = PurePosixPath(given.get("containerModelPath") or (TF_SERVING_MODEL if is_serving else MODELS))
    base, name = str(path.parent), path.name
    models = (ModelMount(given["modelId"], str(path)),) if given.get("modelId") else ()
    port = str(given.get("ports") or "").partition(",")[0]
    command = tuple(given.get("dockerArgs") or ()) or tuple(str(given.get("command") or "").split())
    return DeploymentSpec(
        image=given["imageUrl"],
        command=command,
        env={
            **({"MODEL_BASE_PATH": base, "MODEL_NAME": name} if is_serving else {}),
            **{variable: str(value) for variable, value in (given.get("env") or {}).items()},
        },
        port=int(port) if port.isdecimal() else TF_SERVING_PORT if is_serving else 80,
        replicas=int(given.get("instanceCount") or 1),
        models=models,
        enabled=False,
    )


def _endpoint(deployment: Deployment) -> str:
    """Where jobs, which ask, reach it."""
    return deployment.endpoint_for_jobs or deployment.endpoint


def _payload(ident: str) -> dict[str, Any]:
    return {"deployment": {"id": ident}}


def _message(error: WfError) -> str:
    if isinstance(error, InvalidWorkflow):
        return "; ".join(": ".join(filter(None, [each.message, each.hint])) for each in error.problems)
    return " ".join(filter(None, [str(error), error.hint]))


def _described(deployment: Deployment) -> dict[str, Any]:
    revisions = sorted(deployment.revisions, key=lambda each: (each.number == deployment.revision, each.number))
    return {
        "id": deployment.id,
        "name": deployment.name,
        "deploymentSpecs": {"nodes": [_spec(deployment, each) for each in reversed(revisions)]},
    }


def _spec(deployment: Deployment, revision: Revision) -> dict[str, Any]:
    spec = deployment.spec if revision.number == deployment.revision else revision.spec
    replicas = [each for each in deployment.replicas if each.revision == revision.number]
    ready = sum(each.ready for each in replicas)
    run = {
        "id": f"{deployment.id}-{revision.number}",
        "replicas": spec.replicas if replicas else 0,
        "availableReplicas": ready,
        "readyReplicas": ready,
        "deploymentRunInstances": {"nodes": list(map(_instance, replicas))},
    }
    return {
        "id": f"{deployment.id}-{revision.number}",
        "data": {
            "image": spec.image,
            "port": spec.port,
            "resources": {"instanceType": None, "replicas": spec.replicas},
            "command": list(spec.command) or None,
            "env": [{"name": name, "value": value} for name, value in _environment(spec)] or None,
            "models": [{"id": each.model, "path": each.path} for each in spec.models] or None,
        },
        "endpointUrl": _endpoint(deployment),
        "actor": {"avatarUrl": None, "fullName": revision.by},
        "cluster": {"id": "wf"},
        "deploymentRuns": {"nodes": [run]},
    }


def _environment(spec: DeploymentSpec) -> Iterator[tuple[str, str]]:
    yield from spec.env.items()
    yield from ((name, f"secret:{secret}") for name, secret in spec.secrets.items())


def _instance(replica: Replica) -> dict[str, Any]:
    return {
        "id": replica.id[:12],
        "phase": _PHASES[replica.phase],
        "dtStarted": replica.started,
        "dtFinished": replica.finished,
    }
