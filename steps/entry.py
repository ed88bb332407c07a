"""What every step shares: its description, its parameters, its folders, and how a command line becomes a run.

A step is one module with

    class Inputs(StepInputs): ...          its parameters, validated by pydantic
    STEP = Step(name, summary, inputs=Inputs, reads={...}, writes={...})
    def run(inputs: Inputs, work: Workspace) -> None: ...
    def main(argv=None) -> int: return run_step(STEP, run, argv)

Importing it must stay quick: heavy libraries are imported as the first lines of `run`.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError


class StepError(Exception):
    """A failure that the person who runs the step can mend; the message says what happened and what to do."""


class StepInputs(BaseModel):
    """The parameters of a step: what a workflow writes under `with:`.

    A parameter of type `Path` names a file or folder of the machine that runs the workflow. `wf` checks that it
    exists and makes it readable, and only readable, for the step.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False)


def split_commas(value: object) -> object:
    """The parts of `[a, b]` or `a,b`; what is no text is left as it is."""
    if isinstance(value, str):
        return [part.strip() for part in value.strip("[]() ").split(",") if part.strip()]
    return value


IntList = Annotated[tuple[int, ...], BeforeValidator(split_commas)]
"""Whole numbers, as a list or as text: `[256, 64]` or `256,64`."""

FloatList = Annotated[tuple[float, ...], BeforeValidator(split_commas)]
"""Numbers, as a list or as text: `[0.6, 0.8]` or `0.6,0.8`."""

TextList = Annotated[tuple[str, ...], BeforeValidator(split_commas)]
"""Words, as a list or as text: `[cache, site]` or `cache,site`."""

Inputs = TypeVar("Inputs", bound=StepInputs)


@dataclass(frozen=True, slots=True)
class Step:
    """A step as `wf` sees it before anything runs."""

    name: str
    summary: str
    inputs: type[StepInputs]
    reads: Mapping[str, str] = field(default_factory=dict)
    """Name of each input folder -> its format (see `steps.formats`)."""
    writes: Mapping[str, str] = field(default_factory=dict)
    """Name of each output folder -> its format."""
    optional: frozenset[str] = frozenset()
    """The names in `reads` and `writes` that a workflow may leave out."""
    image: str = "train"
    """The folder under `containers/` whose image runs the step."""
    gpus: int | Literal["auto"] = 0
    """GPUs wanted when the job does not say: a number, or `auto` for one where the engine has one."""
    network: bool = False
    """Whether the step always needs the network."""
    network_with: tuple[str, ...] = ()
    """Environment variables that give the step the network when they are set, such as an API key."""
    control: bool = False
    """Whether the step asks `wf` for something while it runs, at the address in `WF_API`; it has the network then."""
    cache: bool = False
    """Whether the step keeps downloads in `Workspace.cache`, which all runs of the project share."""
    state: bool = False
    """Whether the step continues an interrupted attempt from `Workspace.state`."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """The folders of one execution of a step."""

    inputs: Path
    outputs: Path
    state: Path
    """Kept until the same job, with the same inputs, succeeds: checkpoints go here."""
    cache: Path
    """Shared by all runs and never needed for correctness."""

    def input(self, name: str) -> Path:
        """The folder of the input `name`."""
        return self.inputs / name

    def output(self, name: str) -> Path:
        """The folder for the output `name`: it is there, unless it is optional and the workflow leaves it out."""
        return self.outputs / name

    @contextmanager
    def scratch(self, output: str) -> Iterator[Path]:
        """A folder beside what goes into an output, for what memory should not hold; it is gone after the block."""
        # Not in the system's folder for temporary files, which is memory in a container.
        with tempfile.TemporaryDirectory(dir=self.output(output), prefix=".scratch-") as folder:
            yield Path(folder)

    def record(self, values: Mapping[str, float]) -> None:
        """Add figures to the job's metrics, which `wf show` prints and runs are compared by."""
        path = self.outputs / ".wf" / "metrics.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        known = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps({**known, **values}, indent=2))


def run_step(step: Step, run: Callable[[Any, Workspace], None], argv: Sequence[str] | None = None) -> int:
    """Run a step from a command line.

    Returns 0 when it succeeded, 1 when it failed in a way it foresaw, 2 when its parameters are wrong.
    """
    arguments = _parser(step).parse_args(argv)
    try:
        inputs = step.inputs.model_validate(_given(step, arguments))
    except ValidationError as error:
        for problem in error.errors(include_url=False):
            place = ".".join(str(part) for part in problem["loc"])
            print(f"error: {step.name}: {place + ': ' if place else ''}{problem['msg']}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, _exit_on_signal)
    with tempfile.TemporaryDirectory(prefix="wf-step-") as scratch:
        work = Workspace(
            inputs=arguments.inputs_dir,
            outputs=arguments.outputs_dir,
            state=arguments.state_dir or Path(scratch, "state"),
            cache=arguments.cache_dir or Path(scratch, "cache"),
        )
        try:
            missing = [n for n in step.reads if n not in step.optional and not work.input(n).exists()]
            if missing:
                raise StepError(f"input {', '.join(missing)} is missing: there is no {work.input(missing[0])}")
            required = (work.output(name) for name in step.writes if name not in step.optional)
            for folder in (work.state, work.cache, *required):
                folder.mkdir(parents=True, exist_ok=True)
            run(inputs, work)
        except StepError as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
            return 1
        except ModuleNotFoundError as error:
            if (error.name or "steps").split(".")[0] == "steps":
                raise
            print(f"error: {step.name} needs the Python package {error.name}, which is not installed", file=sys.stderr)
            print("  pip install -e '.[steps]' installs all that the steps need", file=sys.stderr, flush=True)
            return 1
    return 0


def _exit_on_signal(number: int, _frame: FrameType | None) -> None:
    # SystemExit lets `finally` blocks close archives and files; the default action would not.
    sys.exit(128 + number)


def _parser(step: Step) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m steps.{step.name}",
        description=f"{step.summary}\n\nreads:  {_ports(step.reads)}\nwrites: {_ports(step.writes)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parameters = parser.add_argument_group("parameters")
    for name, info in step.inputs.model_fields.items():
        default = "required" if info.is_required() else f"default {info.get_default(call_default_factory=True)}"
        about = f"{info.description or ''} ({default})".strip().replace("%", "%%")
        parameters.add_argument(f"--{name.replace('_', '-')}", dest=name, metavar="VALUE", help=about)
    folders = parser.add_argument_group("folders")
    for flag, fallback, about in (
        ("inputs", "/inputs", "where the folders that it reads lie"),
        ("outputs", "/outputs", "where it writes"),
        ("state", None, "where it keeps checkpoints to continue from"),
        ("cache", None, "where it keeps downloads"),
    ):
        given = os.environ.get(f"WF_{flag.upper()}") or fallback
        parser_default = Path(given) if given else None
        folders.add_argument(
            f"--{flag}-dir", type=Path, metavar="DIR", default=parser_default, help=f"{about} ({given or 'temporary'})"
        )
    parser.add_argument("--with", dest="with_json", metavar="JSON", help="the parameters as one JSON object")
    return parser


def _ports(ports: Mapping[str, str]) -> str:
    return ", ".join(f"{name} ({kind})" for name, kind in ports.items()) or "nothing"


def _given(step: Step, arguments: argparse.Namespace) -> dict[str, object]:
    """The parameters that the command line sets; what it leaves out takes its default from the model."""
    given: dict[str, object] = json.loads(arguments.with_json) if arguments.with_json else {}
    for name in step.inputs.model_fields:
        text = getattr(arguments, name)
        if text is not None:
            given[name] = text
    # In a container a host path lies elsewhere: the runner says where.
    mounted: dict[str, str] = json.loads(os.environ.get("WF_LOCAL_FILES", "{}"))
    return {**given, **{name: path for name, path in mounted.items() if name in given}}
