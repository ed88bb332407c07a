"""Conversion of a SavedModel for a compiled engine, in a process of its own: converters are large, and some end it.

python -m serving.engines.convert {onnx|tflite} FOLDER INTO SIGNATURE...
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from serving.errors import Code, ServingError

_SECONDS: Final = 300
_NICENESS: Final = 10
"""Requests come first: while a version is being converted, others answer."""
_LONGEST_REASON: Final = 160
_MISSING: Final = re.compile(r"'tf\.(\w+)' op is neither a custom op nor a flex op")


def convert(kind: str, folder: Path, into: Path, signatures: Iterable[str]) -> tuple[dict[str, Path], dict[str, str]]:
    """The converted file of each signature, written in `into`; and why there is none, for those that have none.

    Raises:
        ServingError: the converter broke down.
    """
    names = list(signatures)
    command = [sys.executable, "-m", "serving.engines.convert", kind, str(folder), str(into), *names]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False, errors="replace")
    except subprocess.TimeoutExpired as error:
        raise ServingError(Code.DEADLINE_EXCEEDED, f"the conversion took more than {_SECONDS} s") from error
    if done.returncode:
        raise ServingError(Code.INTERNAL, f"the conversion ended with {done.returncode}")
    said = dict(line.split("\t", 1) for line in done.stdout.splitlines() if "\t" in line)
    failed = {name: said[name] for name in names if name in said}
    return {name: into / f"{place}.{kind}" for place, name in enumerate(names) if name not in failed}, failed


def _to_tflite(folder: str, signature: str, path: Path) -> None:
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[signature])
    path.write_bytes(converter.convert())


def _to_onnx(folder: str, signature: str, path: Path) -> None:
    from tf2onnx import convert as tf2onnx

    sys.argv = ["tf2onnx", "--saved-model", folder, "--output", str(path), "--signature_def", signature]
    tf2onnx.main()


def main(argv: Sequence[str]) -> int:
    """Convert each signature; a line of standard output has the name of each that cannot be, a tab, and why."""
    kind, folder, into, *signatures = argv
    os.nice(_NICENESS)
    write = {"onnx": _to_onnx, "tflite": _to_tflite}[kind]
    for place, signature in enumerate(signatures):
        try:
            write(folder, signature, Path(into, f"{place}.{kind}"))
        except Exception as error:  # noqa: BLE001
            sys.stdout.write(f"\n{signature}\t{_reason(error)}\n")
    return 0


def _reason(error: Exception) -> str:
    """What a converter complains about, without the places in the graph that it names at length."""
    missing = sorted(set(_MISSING.findall(str(error))))
    if missing:
        return f"it has no operation {', '.join(missing)}"
    first = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return first[:_LONGEST_REASON]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
