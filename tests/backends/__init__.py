"""Tests of the backends, mostly against the real thing."""
