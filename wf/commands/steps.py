"""List the project's steps, or show what one takes, reads and writes."""

import argparse
import json
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from wf.actions.step import Step, load_step, step_names
from wf.errors import InvalidWorkflow, Problem
from wf.project import find_root


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The name of a step, or nothing for all."""
    parser.add_argument("step", nargs="?", help="the step to explain")
    parser.add_argument("--json", action="store_true", help="print JSON")


def execute(arguments: argparse.Namespace) -> int:
    """Print the list or the explanation."""
    root = find_root(Path.cwd())
    names = step_names(root)
    if not names:
        raise InvalidWorkflow([Problem(f"`{root}` has no steps", hint="a project's steps lie in `steps/`")])
    if arguments.step is None:
        steps = [load_step(root, name) for name in names]
        print(json.dumps([_as_json(step) for step in steps], indent=2) if arguments.json else _list(steps))
        return 0
    if arguments.step not in names:
        near = get_close_matches(arguments.step, names, n=1)
        hint = f"did you mean `{near[0]}`?" if near else f"there are {', '.join(names)}"
        raise InvalidWorkflow([Problem(f"there is no step `{arguments.step}`", hint=hint)])
    step = load_step(root, arguments.step)
    print(json.dumps(_as_json(step), indent=2) if arguments.json else _explain(step))
    return 0


def _list(steps: list[Step]) -> str:
    width = max(len(step.name) for step in steps)
    return "\n".join(f"{step.name:<{width}}  {step.summary}" for step in steps)


def _explain(step: Step) -> str:
    lines = [f"{step.name}: {step.summary}", "", "with:"]
    for name, info in step.inputs.model_fields.items():
        lines.append(f"  {name}: {type_name(info)} = {_default(info)}")
        if info.description:
            lines.append(f"      {info.description}")
    for title, ports in (("reads", step.reads), ("writes", step.writes)):
        if ports:
            lines += ["", f"{title}:"]
            lines += [
                f"  {name} ({form}{', optional' if name in step.optional else ''})" for name, form in ports.items()
            ]
    wants = [f"image containers/{step.image}"]
    wants += [f"gpus {step.gpus}"] if step.gpus else []
    wants += ["network"] if step.network else [f"network if {name} is set" for name in step.network_with]
    return "\n".join([*lines, "", f"runs in: {', '.join(wants)}"])


def type_name(info: FieldInfo) -> str:
    """A parameter's type in the words of its JSON schema."""
    from pydantic import TypeAdapter

    annotation: Any = info.annotation
    adapter: TypeAdapter[object] = TypeAdapter(annotation)
    return _schema_name(adapter.json_schema())


def _schema_name(schema: dict[str, object]) -> str:
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])  # type: ignore[attr-defined]
    if "const" in schema:
        return str(schema["const"])
    if "anyOf" in schema:
        return " | ".join(_schema_name(option) for option in schema["anyOf"])  # type: ignore[attr-defined]
    if schema.get("format") == "path":
        return "path"
    if schema.get("type") == "array":
        items = schema.get("items")
        return f"list of {_schema_name(items)}" if isinstance(items, dict) else "list"
    return {"null": "nothing", "object": "mapping"}.get(str(schema.get("type")), str(schema.get("type", "anything")))


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "(required)"
    value = info.get_default(call_default_factory=True)
    return "nothing" if value is None else json.dumps(value, default=str)


def _as_json(step: Step) -> dict[str, object]:
    return {
        "name": step.name,
        "summary": step.summary,
        "with": step.inputs.model_json_schema(),
        "reads": dict(step.reads),
        "writes": dict(step.writes),
        "optional": sorted(step.optional),
        "image": step.image,
        "gpus": step.gpus,
        "network": step.network,
        "network_with": list(step.network_with),
    }
