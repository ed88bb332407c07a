"""YAML text -> plain data, with a place in the file for every node; and the other way: a problem with its excerpt.

Scalars are read as YAML 1.2 does: `on`, `yes` and `2021-12-16` are text, `true` and `5` are not. Keys are always text.
"""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml
from msgspec import Struct, field
from msgspec.structs import replace
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from wf.errors import InvalidWorkflow, Problem, Span

MAX_BYTES: Final = 16 * 2**20
MAX_NODES: Final = 1_000_000
"""Nodes counted with every alias expanded, so that a small file cannot grow without bounds."""
MAX_DEPTH: Final = 50

Loc = tuple[str | int, ...]
"""The way to a node from the top of the file: keys of mappings and indices of lists."""


class Document(Struct, frozen=True):
    """A parsed file."""

    path: Path
    data: Any
    json: bytes
    """The data as JSON: the quickest way to copy all of it, and to see whether a text stands anywhere in it."""
    _lines: Sequence[str]
    _root: Node
    _copies: Mapping[Loc, Loc] = {}
    _entries: dict[int, "_Entries"] = field(default_factory=dict)
    """Of the mappings that were asked for a place: few are, as few files are wrong."""

    def __repr__(self) -> str:
        return f"Document({self.path})"

    def with_copies(self, copies: Mapping[Loc, Loc]) -> "Document":
        """The document with nodes that are copies of others, by the first two parts of their ways: they stand there."""
        return replace(self, _copies=copies)

    def span(self, loc: Sequence[str | int]) -> Span:
        """Where the value at `loc` stands; for one that is not there, where the nearest node around it stands."""
        return _span(self._nearest(loc)[1], self.path, self._lines)

    def key_span(self, loc: Sequence[str | int]) -> Span:
        """Where the key of `loc` stands, or what `span` says when it has none."""
        key, value = self._nearest(loc)
        return _span(key or value, self.path, self._lines)

    def text(self, loc: Sequence[str | int]) -> str | None:
        """The scalar at `loc` as it is written, or nothing if there is no scalar."""
        node = self._root
        for part in self._original(loc):
            found = self._child(node, part)
            if found is None:
                return None
            node = found[1]
        return node.value if isinstance(node, ScalarNode) else None

    def _original(self, loc: Sequence[str | int]) -> Loc:
        way = tuple(loc)
        return (*self._copies.get(way[:2], way[:2]), *way[2:]) if self._copies else way

    def _nearest(self, loc: Sequence[str | int]) -> "_Entry":
        known: _Entry = (None, self._root)
        for part in self._original(loc):
            # Validation may name parts that the file does not have, such as the kind of a union: leave them out.
            known = self._child(known[1], part) or known
        return known

    def _child(self, node: Node, part: str | int) -> "_Entry | None":
        if isinstance(node, MappingNode):
            return (self._entries.get(id(node)) or self._entries_of(node)).get(part)
        if isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.value):
            return None, node.value[part]
        return None

    def _entries_of(self, node: MappingNode) -> "_Entries":
        own = {key.value: (key, value) for key, value in node.value if not _is_merge(key)}
        merged = [source for key, value in node.value if _is_merge(key) for source in reversed(_merged(value))]
        entries = {name: entry for source in merged for name, entry in self._entries_of(source).items()} | own
        self._entries[id(node)] = entries
        return entries


_Entry = tuple[Node | None, Node]
"""A key, where there is one, and its value."""
_Entries = Mapping[str | int, _Entry]


def load(path: Path) -> Document:
    """Read a YAML file.

    Raises:
        InvalidWorkflow: the file cannot be read, is not YAML, repeats a key, or is built to exhaust memory.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        hint = _near_file(path) if isinstance(error, FileNotFoundError) else ""
        raise InvalidWorkflow([Problem(f"cannot read `{path}`: {error.strerror}", hint=hint)]) from None
    if len(raw) > MAX_BYTES:
        raise InvalidWorkflow([Problem(f"`{path}` has {len(raw)} bytes; a workflow has at most {MAX_BYTES}")])
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise InvalidWorkflow([Problem("this is not UTF-8 text", Span(path, line, 1))]) from None
    return parse(text, path)


def _near_file(path: Path) -> str:
    """A hint at the YAML file that may have been meant: here, beside `path`, or in `workflows/`."""
    from difflib import get_close_matches

    folders = (Path("workflows"), Path(), path.parent)
    files = {file.stem: file for folder in folders for file in sorted(folder.glob("*.y*ml")) if file != path}
    near = get_close_matches(path.stem, files, n=1)
    return f"did you mean `{files[near[0]]}`?" if near else ""


def parse(text: str, path: Path) -> Document:
    """Parse YAML text that stands in the file `path`; raises like `load`."""
    try:
        loader = _Loader(text)
        try:
            root = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        raise InvalidWorkflow([_syntax_problem(error, text, path)]) from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        span = Span(path, before.count("\n") + 1, len(before) - before.rfind("\n"))
        code = error.character if isinstance(error.character, int) else ord(error.character)
        problem = Problem(f"the character U+{code:04X} is not allowed here", span)
        raise InvalidWorkflow([problem]) from None
    lines = text.splitlines()
    builder = _Builder(path, lines)
    if root is None:
        raise InvalidWorkflow([Problem(f"`{path}` is empty", Span(path, 1, 1))])
    if "*" in text:  # nothing can repeat itself without an alias
        builder.refuse_ring(root)
        builder.refuse_bomb(root)
    data = builder.build(root)
    if builder.problems:
        raise InvalidWorkflow(builder.problems)
    return Document(path, data, msgspec.json.encode(data), lines, root)


def scalar(text: str) -> object:
    """One value as a YAML file would read it: `5` is a number, `true` a truth value, `[1, 2]` a list."""
    try:
        return parse(text, Path("--set")).data if text.strip() else text
    except InvalidWorkflow:
        return text


_TEXT: Final = "tag:yaml.org,2002:str"
_LIST: Final = "tag:yaml.org,2002:seq"
_MAPPING: Final = "tag:yaml.org,2002:map"
_MERGE: Final = "<<"


class _Loader(yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader):  # type: ignore[misc]
    """A reader of nodes. Those that say no tag have none, but for quoted scalars, which are text."""

    def resolve(self, kind: type[Node], _value: str | None, implicit: Any) -> str | None:
        """The tag of a node that says none."""
        return _TEXT if kind is ScalarNode and not implicit[0] else None

    def descend_resolver(self, parent: Node, index: Any) -> None:
        """No tag depends on where a node stands."""

    def ascend_resolver(self) -> None:
        """As above."""


_KINDS: Final = tuple(
    (kind, frozenset(first), re.compile(pattern))
    for kind, first, pattern in (
        ("bool", "tTfF", r"true|True|TRUE|false|False|FALSE"),
        ("int", "-+0123456789", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"),
        (
            "float",
            "-+.0123456789",
            r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        ),
        ("null", ["~", "n", "N", ""], r"~|null|Null|NULL|"),
    )
)
"""What plain scalars may be beside text: the characters that it begins with, and all of it."""

_FIRST: Final = frozenset().union(*(first for _, first, _ in _KINDS))


def _kind(text: str) -> str:
    """What YAML 1.2 takes a plain scalar for."""
    first = text[:1]
    return next((kind for kind, firsts, pattern in _KINDS if first in firsts and pattern.fullmatch(text)), "str")


def _is_merge(key: Node) -> bool:
    return key.tag is None and key.value == _MERGE


def _merged(value: Node) -> list[Any]:
    """What `<<` merges: of several the first wins."""
    return value.value if isinstance(value, SequenceNode) else [value]


class _Builder:
    """Turns nodes into data."""

    def __init__(self, path: Path, lines: list[str]) -> None:
        self.path = path
        self.lines = lines
        self.problems: list[Problem] = []
        self._nodes = 0

    def refuse_ring(self, root: Node) -> None:
        """Raise if something holds itself."""
        if ring := _find_ring(root, set(), set()):
            raise InvalidWorkflow([Problem("this refers to itself", self._span(ring))])

    def refuse_bomb(self, root: Node) -> None:
        """Raise, before anything is expanded, if the file is small only because its aliases repeat one another."""
        sizes: dict[int, int] = {}
        if _expanded_size(root, sizes) <= MAX_NODES:
            return
        # The smallest that is too big: what it holds is not, so here is where the file says it too often.
        first = root
        while big := next((child for child in _children(first) if sizes.get(id(child), 1) > MAX_NODES), None):
            first = big
        raise InvalidWorkflow([Problem("this grows without bounds or is nested too deeply", self._span(first))])

    def build(self, node: Node, depth: int = 0) -> Any:
        """The data of a node, which stands below so many others."""
        if isinstance(node, ScalarNode):
            text = node.value
            return text if node.tag is None and text[:1] not in _FIRST else self._scalar(node)
        self._nodes += len(node.value)
        if self._nodes > MAX_NODES or depth > MAX_DEPTH:
            raise InvalidWorkflow([Problem("this grows without bounds or is nested too deeply", self._span(node))])
        if node.tag is not None and node.tag not in (_MAPPING, _LIST):
            self.problems.append(Problem(f"the tag `{node.tag}` is not allowed", self._span(node)))
        if isinstance(node, MappingNode):
            return self._mapping(node, depth + 1)
        return [self.build(child, depth + 1) for child in node.value]

    def _mapping(self, node: MappingNode, depth: int) -> dict[str, Any]:
        data: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value
            if not isinstance(key, str):
                self.problems.append(Problem("a key must be text", self._span(key_node)))
            elif key in data:
                first = next(self._span(each).line for each, _ in node.value if each.value == key)
                hint = f"first given on line {first}"
                self.problems.append(Problem(f"key `{key}` is given twice", self._span(key_node), hint))
            elif key == _MERGE and _is_merge(key_node):
                merged |= self._merge(value_node, depth)
            else:
                if key_node.style == '"':
                    self._check_characters(key_node)
                data[key] = self.build(value_node, depth)
        return {**merged, **data} if merged else data

    def _merge(self, value: Node, depth: int) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for source in reversed(_merged(value)):
            if isinstance(source, MappingNode):
                merged |= self.build(source, depth)
            else:
                self.problems.append(Problem("`<<` merges mappings only", self._span(source)))
        return merged

    def _scalar(self, node: ScalarNode) -> Any:
        text: str = node.value
        tag: str | None = node.tag
        if node.style == '"':
            self._check_characters(node)
        match _kind(text) if tag is None else tag.removeprefix("tag:yaml.org,2002:"):
            case "str":
                return text
            case "null":
                return None
            case "bool":
                return text.lower() == "true"
            case "int" | "float" as kind:
                return self._number(kind, text, node)
        self.problems.append(Problem(f"the tag `{tag}` is not allowed", self._span(node)))
        return None

    def _check_characters(self, node: ScalarNode) -> None:
        """No file, variable or program takes a zero byte, and half a character is no text: `"` can write both."""
        if found := re.search(r"[\0\ud800-\udfff]", node.value):
            message = f"the character U+{ord(found[0]):04X} is not allowed in text"
            self.problems.append(Problem(message, self._span(node)))

    def _number(self, kind: str, text: str, node: ScalarNode) -> int | float | None:
        try:
            if kind == "int":
                # Python refuses too many decimal digits, and only those: what is written otherwise is tried as such.
                return int(str(int(text, 0))) if text[:2] in ("0o", "0x") else int(text)
            number = float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
        except ValueError:
            self.problems.append(Problem(f"`{text[:40]}` is not a number", self._span(node)))
            return None
        if not math.isfinite(number):
            # JSON, in which plans are kept, has no other.
            self.problems.append(Problem(f"`{text[:40]}` is no finite number", self._span(node), "text goes in quotes"))
            return None
        return number

    def _span(self, node: Node) -> Span:
        return _span(node, self.path, self.lines)


def _span(node: Node, path: Path, lines: Sequence[str]) -> Span:
    start, end = node.start_mark, node.end_mark
    line = lines[start.line] if start.line < len(lines) else ""
    last = end.column if end.line == start.line else len(line)
    return Span(path, start.line + 1, start.column + 1, max(1, last - start.column))


def _children(node: Node) -> list[Node]:
    if isinstance(node, MappingNode):
        return [child for pair in node.value for child in pair]
    return list(node.value) if isinstance(node, SequenceNode) else []


def _find_ring(node: Node, around: set[int], seen: set[int], depth: int = 0) -> Node | None:
    """What is among the nodes around itself, if anything is. What is nested too deeply is not looked at."""
    if id(node) in around:
        return node
    if id(node) in seen or depth > MAX_DEPTH:
        return None
    seen.add(id(node))
    rings = (_find_ring(child, around | {id(node)}, seen, depth + 1) for child in _children(node))
    return next((ring for ring in rings if ring is not None), None)


def _expanded_size(node: Node, sizes: dict[int, int], depth: int = 0) -> int:
    """Nodes with every alias expanded. Rings and depths count little: the builder tells of them."""
    if id(node) not in sizes:
        sizes[id(node)] = 1
        if depth <= MAX_DEPTH:
            sizes[id(node)] += sum(_expanded_size(child, sizes, depth + 1) for child in _children(node))
    return sizes[id(node)]


def _syntax_problem(error: yaml.MarkedYAMLError, text: str, path: Path) -> Problem:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line, mark.column) if mark else (0, 0)
    lines = text.splitlines()
    hint = _syntax_hint(error, lines, line)
    line = min(line, max(0, len(lines) - 1))
    message = f"this is not valid YAML: {error.problem or error.context}"
    return Problem(message, Span(path, line + 1, column + 1), hint)


def _syntax_hint(error: yaml.MarkedYAMLError, lines: list[str], line: int) -> str:
    near = lines[line] if line < len(lines) else ""
    if "\t" in near[: len(near) - len(near.lstrip())]:
        return "indent with spaces: YAML does not allow tabs"
    if match := re.search(r"\bsecret: +(\S+)", near):
        return f"write `secret:{match[1]}` without a space"
    if error.problem == "mapping values are not allowed in this context":
        return "text with `: ` in it needs quotes; or is the line above indented too little?"
    if error.context in ("while parsing a flow sequence", "while parsing a flow mapping") and error.context_mark:
        return f"the bracket that opens on line {error.context_mark.line + 1} is not closed"
    # A block scalar ends at the first line that is indented less, even a comment.
    in_block = any(re.search(r":\s*[|>][-+]?\s*$", text) for text in lines[max(0, line - 60) : line])
    if in_block and "expected" in (error.problem or ""):
        return "a block of text (`|`) ends at the first line, even a comment, that is indented less than it"
    return ""


_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def excerpt(problem: Problem) -> str:
    """A problem as a person reads it: the message, the place, the line with a caret below, and the hint.

    What could drive a terminal is shown as one sign for each character.
    """
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", _excerpt(problem))


def _excerpt(problem: Problem) -> str:
    kind = "warning" if problem.is_warning else "error"
    head = f"{kind}: {problem.message}"
    if problem.span is None:
        return f"{head}\n  {problem.hint}" if problem.hint else head
    span = problem.span
    try:
        lines = span.path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    gutter = " " * len(str(span.line))
    place = f"{gutter}--> {span.path}:{span.line}:{span.column}"
    if span.line > len(lines):
        return "\n".join(part for part in (head, place, problem.hint) if part)
    line = lines[span.line - 1]
    start = max(0, span.column - 1 - 60) if len(line) > 100 else 0
    shown = line[start : start + 100]
    # A tab is as wide as the terminal likes: the caret line repeats it instead of guessing.
    indent = "".join("\t" if char == "\t" else " " for char in shown[: span.column - 1 - start])
    carets = "^" * max(1, min(span.length, len(shown) - len(indent)))
    caret_line = f"{indent}{carets} {problem.hint}".rstrip()
    return "\n".join((head, place, f"{gutter} |", f"{span.line} | {shown}", f"{gutter} | {caret_line}"))
