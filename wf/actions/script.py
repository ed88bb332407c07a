"""`script@v1`: run a script with bash in an image."""

from collections.abc import Mapping

from pydantic import Field

from wf.actions.base import ActionParameters, Complain, Process, read_parameters
from wf.actions.images import registry_image


class ScriptParameters(ActionParameters):
    """What `with:` holds."""

    image: str
    script: str
    container_registry: str | None = Field(None, alias="containerRegistry")


def compile_script(given: Mapping[str, object], complain: Complain) -> Process | None:
    """The whole script runs in one bash, found on the image's PATH, with nothing added: no `set -e`."""
    parameters = read_parameters(ScriptParameters, "script@v1", given, complain)
    if parameters is None:
        return None
    return Process(
        image=registry_image(parameters.image, complain),
        entrypoint=("bash",),
        command=("-c", parameters.script),
        parameters=given,
        control=True,
    )
