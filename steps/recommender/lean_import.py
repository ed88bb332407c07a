"""TensorFlow without a library that it imports only because it is installed."""

import gc
import importlib
import sys


def import_tensorflow() -> None:
    """Import TensorFlow, Keras and TensorFlow Recommenders, but not SciPy: whoever needs that imports it afterwards.

    Keras takes it for turning pictures. It is a tenth of the work of starting a training.
    """
    unused = "scipy" not in sys.modules
    if unused:
        sys.modules["scipy"] = None  # type: ignore[assignment]
    try:
        importlib.import_module("tensorflow_recommenders")
    finally:
        if unused:
            del sys.modules["scipy"]
    # What has been imported stays: no need to look for waste in it ever again.
    gc.freeze()
