"""The steps of the recommender: ordinary programs, each `python -m steps.NAME --help`."""

import gc
import os

# Libraries bring objects by the hundred thousand, all of which stay: looking for waste among them again and again
# takes a twentieth of the time of a short training.
gc.set_threshold(100_000)

# Pydantic looks through all installed packages for plugins of its own, a twentieth of the work of starting a step.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

STEPS = {
    "ingest": "steps.ingest",
    "clean": "steps.clean",
    "split": "steps.split",
    "train": "steps.train",
    "sweep": "steps.sweep",
    "evaluate": "steps.evaluate",
    "compare": "steps.compare",
    "export": "steps.export",
    "verify": "steps.verify",
    "gate": "steps.gate",
    "deploy": "steps.deploy",
}
"""Every step by name, in the order in which runs meet them."""
