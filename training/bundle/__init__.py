"""Bundles written to disk, with card and provenance."""
