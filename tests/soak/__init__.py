"""Load on a deployment while everything happens to it."""
