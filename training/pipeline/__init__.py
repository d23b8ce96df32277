"""A training run, step by step; begin with `run`."""
