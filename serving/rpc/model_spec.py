"""Which model a request names, and which one answered."""

from typing import Any

from serving.models.manager import Manager
from serving.models.servable import Servable


def find(manager: Manager, spec: Any) -> Servable:
    """What a `ModelSpec` names.

    Raises:
        ServingError: there is none.
    """
    return manager.find(spec.name, version_of(spec), spec.version_label or None)


def version_of(spec: Any) -> int | None:
    """The version that a `ModelSpec` asks for."""
    return spec.version.value if spec.HasField("version") else None


def describe(spec: Any, servable: Servable, signature: str) -> None:
    """Write what answered into a `ModelSpec`."""
    spec.name = servable.name
    spec.version.value = servable.version
    spec.signature_name = signature
