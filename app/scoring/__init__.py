"""The shared core: text to tensors, tensors to scores, scores to decisions.

Training, evaluation, command line and service all score through this package, so they cannot disagree.
It knows no web and no SQL.
"""
