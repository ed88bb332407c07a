"""`container@v1`: run an image as it is, with other arguments or another command."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator, Field

from wf.actions.base import ActionParameters, Complain, Process, read_parameters
from wf.actions.images import registry_image


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


class ContainerParameters(ActionParameters):
    """What `with:` holds."""

    image: str
    args: list[str] = Field([])
    command: Annotated[list[str] | None, BeforeValidator(_as_list)] = None
    container_registry: str | None = Field(None, alias="containerRegistry")


def compile_container(given: Mapping[str, object], complain: Complain) -> Process | None:
    """`args` replaces the image's command, `command` its entrypoint: what Kubernetes means by these words."""
    parameters = read_parameters(ContainerParameters, "container@v1", given, complain)
    if parameters is None:
        return None
    return Process(
        image=registry_image(parameters.image, complain),
        entrypoint=None if parameters.command is None else tuple(parameters.command),
        command=tuple(parameters.args),
        parameters=given,
        control=True,
    )
