"""Tests of the steps, one file for each step."""
