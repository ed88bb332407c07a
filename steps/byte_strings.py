"""Text that careless exports write as Python prints bytes: b'...'."""

import ast
from typing import Final

import polars as pl

BYTE_STRING: Final = r"""^b('.*'|".*")$"""


def is_byte_string(column: str) -> pl.Expr:
    """The condition that a column holds b'...'."""
    # Few texts begin so, and only those are compared with the pattern, which takes long.
    return pl.when(pl.col(column).str.starts_with("b")).then(column).str.contains(BYTE_STRING)


def decoded(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with each b'...' in its ids and titles as the text that was meant."""
    for column in {"user_id", "item_id", "title"} & set(frame.columns):
        written = frame[column].unique()
        written = written.filter(written.str.contains(BYTE_STRING))
        if written.len():
            meant = {text: _text_of(text) for text in written}
            frame = frame.with_columns(pl.col(column).replace(meant))
    return frame


def _text_of(literal: str) -> str:
    r"""`b'Am\xc3\xa9lie'` as `Amélie`."""
    try:
        data = ast.literal_eval(literal)
    except (SyntaxError, ValueError):
        return literal[2:-1]
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError:
        return str(data, "latin-1")
