"""A JSON schema of workflow files: the format, and the parameters of the project's own steps."""

from pathlib import Path
from typing import Any

from wf.actions import ACTIONS, STEP_PREFIX
from wf.actions.container import ContainerParameters
from wf.actions.programs import GIT, S3, GitCheckoutParameters, S3DownloadParameters
from wf.actions.script import ScriptParameters
from wf.actions.step import load_step, step_names
from wf.spec import Workflow

REFERENCE = {"type": "string", "pattern": r"^(workflow\.inputs|matrix)\.[A-Za-z0-9_-]+$"}


def workflow_schema(root: Path) -> dict[str, Any]:
    """The schema (draft 2020-12), in which `with:` knows what `uses:` names."""
    schema = Workflow.model_json_schema(by_alias=True)
    parameters = {
        "container@v1": ContainerParameters.model_json_schema(by_alias=True),
        "script@v1": ScriptParameters.model_json_schema(by_alias=True),
        GIT: GitCheckoutParameters.model_json_schema(by_alias=True),
        S3: S3DownloadParameters.model_json_schema(by_alias=True),
    }
    for name in step_names(root):
        parameters[STEP_PREFIX + name] = load_step(root, name).inputs.model_json_schema()
    job = schema["$defs"]["Job"]
    job["properties"]["uses"] = {"enum": [*ACTIONS, *(name for name in parameters if name not in ACTIONS)]}
    job["properties"]["needs"] = {"type": "array", "items": {"type": "string"}, "default": []}
    job["properties"]["retry"]["anyOf"].append({"type": "integer", "minimum": 1, "maximum": 100})
    job["properties"]["cache"] |= {"anyOf": [{"type": "boolean"}, {"$ref": "#/$defs/CacheSpec"}], "default": True}
    job["required"] = ["uses"]
    job["allOf"] = [
        {
            "if": {"properties": {"uses": {"const": uses}}, "required": ["uses"]},
            "then": {"properties": {"with": _allow_references(model, schema["$defs"], uses)}},
        }
        for uses, model in parameters.items()
    ]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "A wf workflow", **schema}


def _allow_references(model: dict[str, Any], definitions: dict[str, Any], uses: str) -> dict[str, Any]:
    """The model's schema, with `workflow.inputs.x` and `matrix.x` accepted wherever a parameter stands."""
    for name, definition in model.pop("$defs", {}).items():
        definitions[f"{uses} {name}"] = definition
    properties = {
        name: {"description": field.get("description", ""), "anyOf": [field, REFERENCE]}
        for name, field in model["properties"].items()
    }
    return {**model, "properties": properties}
