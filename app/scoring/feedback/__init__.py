"""Feedback by a language model: its prompts, its bundle, and the screening of its texts."""
