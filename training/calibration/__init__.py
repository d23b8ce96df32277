"""Choices made inside train: confidence, cuts, thresholds, limits."""
