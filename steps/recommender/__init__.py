"""The recommender: its data, models, training, judgement and export. The only package that imports TensorFlow.

Importing the package is quick; its modules `models`, `training`, `trained_model` and `saved_model` load TensorFlow.
"""

import logging
import os
from pathlib import Path

# TensorFlow Recommenders is written for Keras 2, which TensorFlow takes only when told before it is imported.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

# A step's log is for people: TensorFlow's remarks on CPU instructions and its own deprecations do not belong there.
logging.getLogger("tensorflow").setLevel(logging.ERROR)
# 2 leaves errors. Without an NVIDIA driver (the second name is that of WSL) it would report its absence as one.
_has_gpu_driver = any(Path(device).exists() for device in ("/dev/nvidiactl", "/dev/dxg"))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2" if _has_gpu_driver else "3")
