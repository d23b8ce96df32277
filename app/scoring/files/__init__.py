"""Files of rows as users bring them: one format per module, and modules that all formats share."""
