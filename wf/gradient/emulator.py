"""All of it, as one handler for the server of a run."""

from pathlib import Path

from wf.control.http import Request, Response
from wf.deployments.service import Deployments
from wf.gradient.account import add_account
from wf.gradient.datasets import Drafts, add_datasets
from wf.gradient.deployments import add_deployments
from wf.gradient.models import add_models
from wf.gradient.routes import Routes
from wf.gradient.shared import Project
from wf.gradient.workflows import add_workflows


class Emulator:
    """Answers the `gradient` client for one project. It is a `wf.control.http.Handler`; close it after the run."""

    def __init__(self, root: Path, deployments: Deployments) -> None:
        project = Project(root)
        self._drafts = Drafts()
        self._routes = Routes()
        add_account(self._routes, project)
        add_deployments(self._routes, project, deployments)
        add_models(self._routes, project)
        add_datasets(self._routes, project, self._drafts)
        add_workflows(self._routes, project, deployments)

    def __call__(self, request: Request) -> Response | None:
        """The answer, or nothing where the path is not one of the client's."""
        return self._routes(request)

    def close(self) -> None:
        """Discard what jobs began and did not commit."""
        self._drafts.close()
