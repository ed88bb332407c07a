"""Tests of `wf.report`."""
