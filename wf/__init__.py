"""Run machine-learning workflows, written as YAML jobs, on any machine with Docker."""

import sys

__version__ = "0.1.0"

if "typing_extensions" not in sys.modules:
    # msgspec needs none of it, but imports it where it can, and with it `inspect`: a tenth of what `wf` does until
    # a container starts. While its place is taken, there is nothing to import.
    sys.modules["typing_extensions"] = None  # type: ignore[assignment]
    import msgspec  # noqa: F401

    del sys.modules["typing_extensions"]
