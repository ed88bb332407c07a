"""What an action is to the compiler: parameters in, one process out."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Literal, Protocol, TypeVar

from msgspec import Struct
from pydantic import BaseModel, ConfigDict, ValidationError

from wf.plan import HostProgram, Image, LocalFile, ModelSpec, SecretRef


class Complain(Protocol):
    """Reports something wrong with a job; `where` leads from the job to the place, such as `("with", "image")`."""

    def __call__(self, message: str, *where: str | int, hint: str = "", is_warning: bool = False) -> None:
        """Note one problem."""


class Ports(Struct, frozen=True):
    """The inputs or outputs that an action insists on, with the format of each."""

    formats: Mapping[str, str]
    optional: frozenset[str] = frozenset()


class Process(Struct, frozen=True):
    """What an action makes of its parameters: the part of a task that it decides."""

    image: Image | HostProgram | None
    entrypoint: tuple[str, ...] | None
    command: tuple[str, ...]
    parameters: Mapping[str, object]
    reads: Ports | None = None
    """Nothing where the action takes whatever inputs the workflow names."""
    writes: Ports | None = None
    secrets: Mapping[str, SecretRef] = {}
    """Variables that its parameters add to the job's environment."""
    local_files: tuple[LocalFile, ...] = ()
    gpus: int | Literal["auto"] = 0
    is_step: bool = False
    model: ModelSpec | None = None
    network: bool = True
    network_with: tuple[str, ...] = ()
    control: bool = False
    cache: bool = False
    reuse: bool = True
    """Whether the same parameters give the same outputs: not where they name something that changes elsewhere."""
    state: bool = False
    defaulted: frozenset[str] = frozenset()
    """Those of the parameters that the workflow leaves to their defaults."""


CompileAction = Callable[[Mapping[str, object], Complain], Process | None]
"""From resolved parameters to a process, or nothing after complaints."""


class ActionParameters(BaseModel):
    """Parameters of an action of the format. Unknown ones are ignored there, and so warned about here."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


Parameters = TypeVar("Parameters", bound=BaseModel)


def read_parameters(
    model: type[Parameters], action: str, given: Mapping[str, object], complain: Complain
) -> Parameters | None:
    """Validate an action's parameters, complaining about each that does not fit."""
    names = _names(model)
    for name in given:
        if name not in names:
            known = ", ".join(f"`{known}`" for known in names)
            complain(f"`{action}` ignores `{name}`", "with", name, hint=f"it knows {known}", is_warning=True)
    try:
        return model.model_validate(dict(given))
    except ValidationError as error:
        for details in error.errors(include_url=False):
            where: Sequence[str | int] = details["loc"]
            if details["type"] == "missing":
                complain(f"`{action}` needs `with: {{{where[0]}: ...}}`", "with")
            else:
                value = details["input"]
                wanted = _wanted(details["type"], value)
                complain(f"`with.{_dotted(where)}` must be {wanted}", "with", *where, hint=secret_hint(value))
        return None


def secret_hint(value: object) -> str:
    """What was meant by `secret: NAME`, which YAML reads as a mapping."""
    if isinstance(value, dict) and len(value) == 1 and "secret" in value:
        return f"write `secret:{value['secret']}` without a space"
    return ""


@cache
def _names(model: type[BaseModel]) -> tuple[str, ...]:
    return tuple(field_info.alias or name for name, field_info in model.model_fields.items())


def _dotted(where: Sequence[str | int]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else str(part) for part in where)


def _wanted(kind: str, value: object) -> str:
    if kind in ("tuple_type", "list_type"):
        return "a list"
    return "text: put it in quotes" if isinstance(value, int | float) else "text"
