"""What a module of a project imports from the project, found by reading it, never by running it."""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path


@cache
def imported_files(top: Path, module: str) -> dict[str, str]:
    """The files that decide what a module does: path below `top` -> SHA-256.

    These are its own file, those of all modules of its package that it imports, directly or through others, and every
    file of the package that is not Python, as nobody can know who reads it. `top` holds the package and never changes.
    """
    package = module.partition(".")[0]
    found: dict[str, str] = {}
    waiting = [module]
    while waiting:
        path = _file_of(top, waiting.pop())
        if path is None or str(path.relative_to(top)) in found:
            continue
        content = path.read_bytes()
        found[str(path.relative_to(top))] = hashlib.sha256(content).hexdigest()
        here = ".".join(path.relative_to(top).with_suffix("").parts).removesuffix(".__init__")
        inside = here if path.name == "__init__.py" else here.rpartition(".")[0]
        waiting += [name for name in _imports(content, inside) if name.partition(".")[0] == package]
        waiting.append(inside)
    for path in sorted((top / package).rglob("*")):
        if path.is_file() and path.suffix != ".py" and path.parent.name != "__pycache__":
            found[str(path.relative_to(top))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _file_of(top: Path, module: str) -> Path | None:
    base = top.joinpath(*module.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


def _imports(content: bytes, inside: str) -> Iterator[str]:
    """Modules named by import statements, and perhaps names in modules, as the text cannot tell them apart."""
    try:
        tree = ast.parse(content)
    except SyntaxError:
        return  # it will fail when it runs
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = inside.split(".")[: len(inside.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            yield source
            yield from (f"{source}.{alias.name}" for alias in node.names)
