"""What stands around the things themselves: the one project, its one place for data, names of secrets."""

import os
from typing import Any, Final

from wf.control.http import Request, Response, error_response
from wf.gradient.routes import Routes
from wf.gradient.shared import Project
from wf.project import STORE
from wf.secrets import kept_secrets, secrets_of_variables

STORAGE: Final[dict[str, Any]] = {"id": "splwfstore", "name": "wf", "type": "s3", "config": {}}
"""Where datasets lie, as the client sees it. Its type is the one that the client can put files into."""


def add_account(routes: Routes, project: Project) -> None:
    """Answer what is asked about the project and the team."""
    described: dict[str, Any] = {
        "handle": project.id,
        "name": project.root.name,
        "repoName": None,
        "repoUrl": None,
        "dtCreated": "1970-01-01T00:00:00Z",
        "tags": [],
    }
    routes.add("GET", "/projects/secrets", lambda _: _names(project))
    routes.add("GET", "/teams/secrets", lambda _: _names(project))
    routes.add("GET", "/clusters/secrets", lambda _: _names(project))
    routes.add("PUT DELETE", "/{entity}/secrets/{name}", _refuse)
    routes.add("GET", "/projects", lambda _: {"data": [described], "total": 1})
    routes.add("GET", "/teams/namespace", lambda _: "wf")
    routes.add("GET", "/storageProviders", lambda _: [STORAGE])
    routes.add("GET", f"/storageProviders/{STORAGE['id']}", lambda _: STORAGE)


def _names(project: Project) -> list[dict[str, str]]:
    known = {*kept_secrets(project.root / STORE).names(), *secrets_of_variables(os.environ)}
    return [{"name": name} for name in sorted(known)]


def _refuse(_: Request, entity: str, name: str) -> Response:
    return error_response(403, f"jobs cannot change the secrets of {entity}: `wf secrets set {name}`")
