"""Batching workers and an orderly shutdown."""
