"""Run machine-learning workflows, written as YAML jobs, on any machine with Docker."""

__version__ = "0.1.0"
