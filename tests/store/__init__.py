"""Tests of `wf.store`."""
