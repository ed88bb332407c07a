"""What jobs of a run may ask about deployments, below `/wf/v1/deployments`. `./steps/deploy` and `./steps/gate` do.

GET  /wf/v1/deployments/NAME            the deployment; 404 if there is none
PUT  /wf/v1/deployments/NAME            {spec, why}: create or update it
POST /wf/v1/deployments/NAME/predict    {rows: [{user, movie, timestamp}]}: the ratings of what serves
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from wf.control.http import Handler, Request, Response, error_response, json_response
from wf.deployments.parse import parse_spec
from wf.deployments.prediction import Client
from wf.deployments.rows import Row
from wf.deployments.service import Deployments
from wf.errors import DeploymentFailed, InvalidWorkflow, Problem

PREFIX: Final = "/wf/v1/deployments/"


def deployment_handler(deployments: Deployments, asked_by: Callable[[Request], str]) -> Handler:
    """The handler, for the control server of a run. `asked_by` says who asks, for the history."""

    def handle(request: Request) -> Response | None:
        if not request.path.startswith(PREFIX):
            return None
        name, _, verb = request.path.removeprefix(PREFIX).partition("/")
        if request.method == "GET" and not verb:
            found = deployments.list(name)
            return (
                json_response(found[0].to_json()) if found else error_response(404, f"there is no deployment `{name}`")
            )
        given = _object(request)
        if request.method == "PUT" and not verb:
            return _put(deployments, name, given, asked_by(request))
        if request.method == "POST" and verb == "predict":
            return json_response({"ratings": Client.connect(deployments.get(name)).predict(_rows(given.get("rows")))})
        return None

    return handle


def _put(deployments: Deployments, name: str, given: Mapping[str, Any], by: str) -> Response:
    spec, why = parse_spec(given.get("spec")), str(given.get("why", ""))
    try:
        if deployments.list(name):
            done = deployments.update(name, spec, by=by, why=why)
        else:
            done = deployments.create(name, spec, by=by, why=why)
    except DeploymentFailed as failed:
        return error_response(409, "\n".join(filter(None, [str(failed), failed.hint])))
    return json_response(done.to_json())


def _rows(given: Any) -> list[Row]:
    try:
        return [Row(str(row["user"]), str(row["movie"]), row.get("timestamp")) for row in given]
    except (TypeError, KeyError, AttributeError):
        raise InvalidWorkflow([Problem("`rows` is no list of objects with a `user` and a `movie`")]) from None


def _object(request: Request) -> Mapping[str, Any]:
    try:
        given = request.json()
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise InvalidWorkflow([Problem("the request's body is no JSON object")])
    return given
