"""A language model that learns to write feedback, and what its texts are worth."""
