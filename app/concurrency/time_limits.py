"""Bound how long the service waits, in seconds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """The service's time limits."""

    lock: float = 15.0  # for a lock that another transaction holds
    database: float = 30.0  # for a silent database; longer than `lock`, which the database reports itself
    probe: float = 5.0  # for a silent database, in a probe: orchestrators seldom wait longer
    end: float = 3.0  # for work under way at the shutdown, when every caller has its reply


DEFAULT_LIMITS = TimeLimits()
