"""`python -m serving`."""

import importlib
import sys

_UNUSED = ("keras", "scipy", "h5py")


def main() -> int:
    """The server's exit code."""
    # TensorFlow imports these where they are installed, so as to train: 40 MiB that no request needs.
    sys.modules.update(dict.fromkeys(_UNUSED))  # type: ignore[arg-type]
    importlib.import_module("tensorflow")
    for name in _UNUSED:
        del sys.modules[name]
    from serving import server

    return server.main()


sys.exit(main())
