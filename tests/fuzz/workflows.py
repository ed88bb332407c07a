"""Mutations of real workflow files, and what must hold for each: a plan, or errors that `wf` raises on purpose.

    python -m tests.fuzz.workflows --seconds 3600

goes on for that long and ends with 1 at the first file that breaks something, which it prints.
"""

import argparse
import contextlib
import copy
import io
import json
import random
import re
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from tests.projects import REPOSITORY, make_project
from wf.cli import main as wf
from wf.compile import compile_file
from wf.errors import InvalidWorkflow, WfError
from wf.inputs import read_inputs
from wf.picture import mermaid, svg
from wf.source import excerpt, load

LONGEST = 10.0
"""Seconds that one file may take."""
MOST_DRAWN = 50
"""Jobs up to which a plan is drawn too."""

TOKENS = (
    *(
        "jobs:",
        "needs: [",
        "]",
        "{",
        "}",
        "&a ",
        "*a",
        "<<: *a",
        "- ",
        ": ",
        "# ",
        "|\n",
        ">-\n",
        "!!python/object:os ",
        "? ",
    ),
    *(
        "matrix.model",
        "workflow.inputs.x",
        "A.outputs.b",
        "secret:X",
        "secret: X",
        "context.event.github.url",
        "${{ x }}",
    ),
    *("strategy: {matrix: {a: [1, 2]}}", "retry: 3", "if: always()", "if: A.result == failed", "timeout: 1e400"),
    *("null", "~", "true", "1e999", ".nan", "-.inf", "0x", "0o8", "1" * 5000, "''", '""', "\t", "\r", "\n", "  "),
    *(
        "\0",
        "\x1b]0;x\x07",
        "\x85",
        "\u2028",
        "\ufeff",
        "\ud7ff",
        "é",
        "😀",
        "../../etc/passwd",
        "--help",
        "-",
        "%s",
        "{0}",
    ),
    *("steps/train", "./steps/", "./steps/train", "script@v1", "git-checkout@v1", "create-model@v1", "s3-download@v1"),
)
VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        2**63,
        10**400,
        0.5,
        "",
        "x",
        "a b",
        "--",
        "..",
        "/",
        "\n",
        "é",
        "\x1b[2J",
        "x" * 5000,
    ),
    *(
        [],
        {},
        [[]],
        {"": ""},
        [None],
        {"a": None},
        [1, "a", {}],
        {"with": {}},
        {"type": "string"},
        {"type": ["string"]},
    ),
    *("matrix.a", "workflow.inputs.a", "Train.outputs.model", "secret:A?", "secret:", "context.event.github.ref"),
    *({"matrix": {"a": [1, 2], "include": [{"a": 3}]}}, {"matrix": {"include": []}}, {"matrix": None, "fail-fast": 1}),
    *({"attempts": 3, "on": ["oom"]}, {"attempts": 0}, "success()", "always()", "A.metrics.x < 1"),
)


def corpus() -> list[str]:
    """Real files: the project's workflows, and the examples of its documents, right and wrong."""
    texts = [path.read_text() for path in sorted((REPOSITORY / "workflows").rglob("*.yaml"))]
    for name in ("syntax.md", "errors.md", "gradient.md"):
        texts += re.findall(r"```yaml\n(.*?)```", (REPOSITORY / "docs" / name).read_text(), flags=re.DOTALL)
    return texts


def mutate(rng: random.Random, texts: list[str]) -> str:
    """A file of the corpus, changed in a few places: as text, or as a tree."""
    text = rng.choice(texts)
    if rng.random() < 0.5:
        for _ in range(rng.choice((1, 1, 2, 4))):
            text = rng.choice(_TEXT_CHANGES)(rng, text, texts)
        return text
    try:
        tree = load_text(text)
    except WfError:
        return text
    for _ in range(rng.choice((1, 1, 2, 4))):
        _change_tree(rng, tree, texts)
    return json.dumps(tree, ensure_ascii=rng.random() < 0.5)


def load_text(text: str) -> Any:
    """The data of a file."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(text)
        file.flush()
        return load(Path(file.name)).data


def _insert(rng: random.Random, text: str, _: list[str]) -> str:
    place = rng.randint(0, len(text))
    return text[:place] + rng.choice(TOKENS) + text[place:]


def _remove(rng: random.Random, text: str, _: list[str]) -> str:
    start = rng.randint(0, len(text))
    return text[:start] + text[start + rng.randint(1, 30) :]


def _swap_lines(rng: random.Random, text: str, _: list[str]) -> str:
    lines = text.split("\n")
    one, other = (rng.randrange(len(lines)) for _ in range(2))
    lines[one], lines[other] = lines[other], lines[one]
    return "\n".join(lines)


def _repeat_line(rng: random.Random, text: str, _: list[str]) -> str:
    lines = text.split("\n")
    lines.insert(rng.randrange(len(lines)), rng.choice(lines))
    return "\n".join(lines)


def _indent(rng: random.Random, text: str, _: list[str]) -> str:
    lines = text.split("\n")
    place = rng.randrange(len(lines))
    lines[place] = rng.choice(("  ", " ", "\t", "    ")) + lines[place] if rng.random() < 0.5 else lines[place].lstrip()
    return "\n".join(lines)


def _graft(rng: random.Random, text: str, texts: list[str]) -> str:
    other = rng.choice(texts)
    start, place = rng.randint(0, len(other)), rng.randint(0, len(text))
    return text[:place] + other[start : start + rng.randint(1, 200)] + text[place:]


def _flip(rng: random.Random, text: str, _: list[str]) -> str:
    if not text:
        return text
    place = rng.randrange(len(text))
    return text[:place] + chr(rng.choice((rng.randint(0, 127), rng.randint(128, 0xD7FF)))) + text[place + 1 :]


_TEXT_CHANGES: tuple[Callable[[random.Random, str, list[str]], str], ...] = (
    *(_insert, _remove, _swap_lines, _repeat_line, _indent, _graft, _flip),
)


def _change_tree(rng: random.Random, tree: Any, texts: list[str]) -> None:
    places = list(_places(tree))
    if not places:
        return
    parent, key = rng.choice(places)
    match rng.randrange(5):
        case 0:
            parent[key] = copy.deepcopy(rng.choice(VALUES))
        case 1:
            other, name = rng.choice(places)
            parent[key] = copy.deepcopy(other[name])
        case 2 if isinstance(parent, dict):
            parent[rng.choice(_KEYS)] = parent.pop(key)
        case 3:
            del parent[key]
        case _ if isinstance(parent, dict):
            parent[rng.choice(_KEYS)] = copy.deepcopy(rng.choice(VALUES))


_KEYS = (
    *("jobs", "inputs", "outputs", "with", "needs", "env", "uses", "defaults", "resources", "timeout", "on", "context"),
    *(
        "strategy",
        "matrix",
        "retry",
        "if",
        "cache",
        "type",
        "ref",
        "value",
        "optional",
        "memory",
        "gpus",
        "a",
        "",
        "x y",
    ),
)


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    pending = [tree]
    for node in pending:  # grows while it is walked
        children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for key, child in children:
            yield node, key
            pending.append(child)


def check(text: str, project: Path) -> bool:
    """Do with a file what commands do before anything runs. Whether it is a workflow.

    Anything but an error of `wf` comes through, as does `TimeoutError` for a file that takes too long.
    """
    path = project / "workflow.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        read_inputs(path)
    except InvalidWorkflow as error:
        _tell(error)
    try:
        plan, warnings = compile_file(path, project, {"epochs": "3"} if "\n  epochs:" in text else {}, to_run=False)
    except InvalidWorkflow as error:
        _tell(error)
        return False
    except WfError:
        return False
    _tell(InvalidWorkflow(warnings))
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        assert wf(["plan", str(path)]) in (0, 2), "`wf plan` breaks"
    if len(plan.tasks) <= MOST_DRAWN:
        mermaid(plan)
        svg(plan)
    return True


def _tell(error: InvalidWorkflow) -> None:
    for problem in error.problems:
        shown = excerpt(problem)
        assert "\x1b" not in shown, "an error text drives the terminal"


def run(seconds: float, seed: int, project: Path) -> tuple[int, int]:
    """Check mutations for so long; how many there were, and how many of them are workflows."""
    texts = corpus()
    make_project(project, "jobs: {}")
    signal.signal(signal.SIGALRM, _too_late)
    end, tried, accepted = time.monotonic() + seconds, 0, 0
    while time.monotonic() < end:
        text = mutate(random.Random(f"{seed}.{tried}"), texts)
        signal.setitimer(signal.ITIMER_REAL, LONGEST)
        try:
            accepted += check(text, project)
        except BaseException:
            signal.setitimer(signal.ITIMER_REAL, 0)
            print(f"seed {seed}.{tried} breaks it:\n{text!r}", file=sys.stderr)
            raise
        signal.setitimer(signal.ITIMER_REAL, 0)
        tried += 1
    return tried, accepted


def _too_late(_number: int, _frame: FrameType | None) -> None:
    raise TimeoutError(f"it took more than {LONGEST:g} s")


def main() -> None:
    """Run for as long as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**9)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tried, accepted = run(arguments.seconds, arguments.seed, Path(folder))
    print(f"seed {arguments.seed}: {tried} files, {accepted} of them workflows, none broke anything")


if __name__ == "__main__":
    main()
