"""Tests of `steps.recommender`."""
