"""The use cases: score responses, review them, keep bundles current."""
