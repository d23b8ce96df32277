"""Training of a language model that writes feedback, and figures of its texts."""
