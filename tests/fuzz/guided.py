"""Looks for bytes that reach new branches of what reads requests, with [atheris](https://github.com/google/atheris):

    pip install atheris && python -m tests.fuzz.guided TARGET -max_total_time=600 FOLDER

ends at the first that breaks something. TARGET is `rest`, bodies of REST requests, `typed`, those of many plain rows,
or `grpc`, requests for one row. The other arguments are libFuzzer's; what is found is kept in the folder.
"""

import json
import sys
from pathlib import Path

import atheris

from tests.fuzz.documents import DOCUMENTS

with atheris.instrument_imports(include=["serving", "tests.fuzz.parser", "tests.fuzz.typed", "tests.fuzz.one_row"]):
    from tests.fuzz import one_row, parser, typed

_BODIES = [json.dumps(document).encode() for document in DOCUMENTS]
_PARTS = (one_row.VALUES, ("at",), ("user",))
_ROWS = [one_row.request({name: one_row.VALUES[name] for name in names}) for names in _PARTS]
_TYPED = [json.dumps({"instances": rows}).encode() for rows in ([typed.ROW], [typed.ROW] * 2)]
TARGETS = {"rest": (parser.check, _BODIES), "typed": (typed.check, _TYPED), "grpc": (one_row.check, _ROWS)}


def main() -> None:
    """Begin with requests that are as they should be."""
    check, begin = TARGETS[sys.argv.pop(1)]
    folder = Path(sys.argv[-1])
    for number, data in enumerate(begin):
        (folder / f"begin-{number}").write_bytes(data)
    atheris.Setup(sys.argv, lambda data: check(data) and None)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
