"""`create-model@v1`: register a folder that is in the store as a model. `wf` does it itself, without a container."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Final, get_args

from wf.actions.base import ActionParameters, Complain, Process, read_parameters
from wf.plan import MODEL_INPUT, IOType, ModelSpec, ModelType

ACTION: Final = "create-model@v1"


class CreateModelParameters(ActionParameters):
    """What `with:` holds."""

    name: str
    type: str


def compile_create_model(given: Mapping[str, object], complain: Complain) -> Process | None:
    """The type may be written in upper or lower case, as the format's own client has it."""
    parameters = read_parameters(CreateModelParameters, ACTION, given, complain)
    if parameters is None:
        return None
    model_type = find_model_type(parameters.type)
    if model_type is None:
        types = ", ".join(f"`{known}`" for known in get_args(ModelType))
        near = get_close_matches(parameters.type.title(), get_args(ModelType), n=1)
        hint = f"did you mean `{near[0]}`?" if near else ""
        complain(f"`with.type` must be one of {types}, not `{parameters.type}`", "with", "type", hint=hint)
    if not parameters.name.strip():
        complain("`with.name` must not be empty", "with", "name")
    if model_type is None or not parameters.name.strip():
        return None
    return Process(
        image=None, entrypoint=None, command=(), parameters=given, model=ModelSpec(parameters.name, model_type)
    )


def find_model_type(written: str) -> ModelType | None:
    """The type of model that a word means, whatever its case."""
    return {known.lower(): known for known in get_args(ModelType)}.get(written.lower())


def check_model_ports(inputs: Mapping[str, IOType | None], outputs: Mapping[str, IOType], complain: Complain) -> None:
    """A folder as `model`, and at most one string for the id. An input whose type is not known has been found wrong."""
    if MODEL_INPUT not in inputs:
        one = next(iter(inputs)) if len(inputs) == 1 else ""
        hint = f"call `{one}` so" if one else f"add `{MODEL_INPUT}: JOB.outputs.NAME` under `inputs:`"
        complain(f"`{ACTION}` needs an input `{MODEL_INPUT}`", "inputs", hint=hint)
    elif inputs[MODEL_INPUT] == "string":
        hint = "give it a dataset, or the output of the job that wrote the model"
        complain(f"`{MODEL_INPUT}` must be a folder, not a string", "inputs", MODEL_INPUT, hint=hint)
    for name in inputs:
        if name != MODEL_INPUT and MODEL_INPUT in inputs:
            complain(f"`{ACTION}` ignores the input `{name}`", "inputs", name, is_warning=True)
    for number, (name, kind) in enumerate(outputs.items()):
        if number:
            hint = "its one output is the model's id"
            complain(f"`{ACTION}` does not write a second output `{name}`", "outputs", name, hint=hint)
        elif kind != "string":
            hint = "use `type: string`"
            complain(f"`{name}` is the model's id, not a {kind}", "outputs", name, "type", hint=hint)
