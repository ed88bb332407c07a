"""The steps of the recommender: ordinary programs, each `python -m steps.NAME --help`."""

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
