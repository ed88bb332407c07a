"""The steps of the recommender: ordinary programs, each `python -m steps.NAME --help`."""

STEPS = {
    "ingest": "steps.ingest",
    "clean": "steps.clean",
    "split": "steps.split",
    "train": "steps.train",
    "evaluate": "steps.evaluate",
    "export": "steps.export",
}
"""Every step by name, in the order in which a training run meets them."""
