"""Feedback by a language model: what it reads, what is kept of it on disk, and which of its texts a learner may see."""
