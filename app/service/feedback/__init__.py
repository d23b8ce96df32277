"""Feedback by a language model beside the scores: in a process of its own, behind a queue with an end."""
