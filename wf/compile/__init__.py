"""Workflow -> Plan. Every name, type, reference and parameter is checked here: nothing wrong reaches a container."""

from wf.compile.compiler import compile_file

__all__ = ["compile_file"]
