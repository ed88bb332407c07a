"""Looks for bytes that reach new branches of what reads requests, with [atheris](https://github.com/google/atheris):

    pip install atheris && python -m tests.fuzz.guided -max_total_time=600 FOLDER

ends at the first that breaks something. The arguments are libFuzzer's; what is found is kept in the folder.
"""

import json
import sys
from pathlib import Path

import atheris

from tests.fuzz.documents import DOCUMENTS

with atheris.instrument_imports(include=["serving", "tests.fuzz.parser"]):
    from tests.fuzz import parser


def main() -> None:
    """Begin with the documents that the other fuzzer changes."""
    folder = Path(sys.argv[-1])
    for number, document in enumerate(DOCUMENTS):
        (folder / f"document-{number}").write_text(json.dumps(document))
    atheris.Setup(sys.argv, lambda data: parser.check(data) and None)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
