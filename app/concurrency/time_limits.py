"""Seconds that the service waits for what may never come."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TimeLimits:
    lock: float = 15.0  # a statement for a lock that another holds
    database: float = 30.0  # a caller for a database that says nothing: longer than `lock`, which the database tells of
    probe: float = 5.0  # a probe for that database: probes seldom wait longer
    end: float = 3.0  # the end of the service for work that goes on: every caller has had an answer by then


DEFAULT_LIMITS = TimeLimits()
