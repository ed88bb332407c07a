"""Tests of `wf.actions`."""
