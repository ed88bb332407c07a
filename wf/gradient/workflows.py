"""Workflows, their runs and logs, to look at: every file that has run is one."""

import hashlib
from typing import Any

from wf.control.http import Request, Response, error_response
from wf.deployments.service import Deployments
from wf.gradient.routes import Routes
from wf.gradient.runs import log_of, run_object
from wf.gradient.shared import Project
from wf.store import Store
from wf.store.records import RunRecord


def add_workflows(routes: Routes, project: Project, deployments: Deployments) -> None:
    """Answer what is asked about workflows."""
    api = _Api(project, deployments)
    routes.add("GET", "/workflows", api.list)
    routes.add("POST", "/workflows", api.refuse)
    routes.add("GET", "/workflows/{ident}", api.get)
    routes.add("GET", "/workflows/{ident}/runs", api.runs)
    routes.add("POST", "/workflows/{ident}/runs", api.refuse)
    routes.add("GET", "/workflows/{ident}/runs/{number}", api.run)
    routes.add("GET", "/jobs/logs", api.logs)


class _Api:
    def __init__(self, project: Project, deployments: Deployments) -> None:
        self._project = project
        self._deployments = deployments

    def list(self, _: Request) -> object:
        with self._project.store() as store:
            return [self._described(each) for each in _workflows(store).values()]

    def get(self, _: Request, ident: str) -> object:
        with self._project.store() as store:
            first = _workflows(store).get(ident)
        return self._described(first) if first else _unknown(ident)

    def runs(self, _: Request, ident: str) -> object:
        with self._project.store() as store:
            return [run_object(store, each) for each in store.history.runs() if _id(each.workflow) == ident]

    def run(self, _: Request, ident: str, number: str) -> object:
        with self._project.store() as store:
            run = store.history.run(number)
            return run_object(store, run) if _id(run.workflow) == ident else _unknown(ident)

    def refuse(self, _: Request, ident: str = "") -> object:
        return error_response(403, "jobs cannot start workflows: `wf run FILE` does")

    def logs(self, request: Request) -> object:
        first, limit = int(request.query.get("line", 1)), int(request.query.get("limit", 10_000))
        if deployment := request.query.get("gradientDeploymentId"):
            lines = [line for said in self._deployments.logs(deployment).values() for line in said]
        else:
            with self._project.store() as store:
                folder = log_of(store, request.query.get("jobId", ""))
            lines = folder.log.read_text(encoding="utf-8").splitlines() if folder and folder.log.exists() else []
        shown = list(enumerate(lines, 1))[first - 1 :][:limit]
        return [{"line": number, "message": line, "timestamp": ""} for number, line in shown]

    def _described(self, first: RunRecord) -> dict[str, Any]:
        return {
            "id": _id(first.workflow),
            "name": first.workflow,
            "projectId": self._project.id,
            "dtCreated": first.started,
            "dtModified": first.started,
        }


def _workflows(store: Store) -> dict[str, RunRecord]:
    """The first run of each workflow, by the workflow's id."""
    return {_id(run.workflow): run for run in store.history.runs()}


def _id(workflow: str) -> str:
    return f"wf{hashlib.sha256(workflow.encode()).hexdigest()[:13]}"


def _unknown(ident: str) -> Response:
    return error_response(404, f"there is no workflow {ident}")
