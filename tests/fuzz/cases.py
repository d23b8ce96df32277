"""Number of cases and kinds of damage for all fuzz tests.

Each test tries a few fixed cases.  FUZZ_TIMES=100 tries a hundred times as many, and random cases:

    FUZZ_TIMES=100 .venv/bin/python -m pytest tests/fuzz
"""

import copy
import os
from collections.abc import Iterator
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

TIMES = int(os.environ.get("FUZZ_TIMES", "1"))


def cases(number: int) -> settings:
    """Return settings for a number of cases."""
    return settings(
        max_examples=number * TIMES,
        derandomize=TIMES == 1,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
    )


TEXTS = st.text(st.characters(), max_size=40) | st.sampled_from(["", " ", "\0", "\ud800", "NaN", "../..", "é" * 300])
NUMBERS = (
    st.floats() | st.integers() | st.sampled_from([-1, 0, 1, 2**31, 2**63, 10**30, -0.0, 1e308, 5e-324, 0.5, 4097])
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """Return the bytes after one to four small changes."""
    content = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(content)))
        match draw(st.sampled_from(["bit", "byte", "cut", "insert", "repeat", "end"])):
            case "bit" if place < len(content):
                content[place] ^= 1 << draw(st.integers(0, 7))
            case "byte" if place < len(content):
                content[place] = draw(st.sampled_from([0, 0x7F, 0x80, 0xFF]) | st.integers(0, 255))
            case "cut":
                del content[place : place + draw(st.integers(1, 64))]
            case "insert":
                content[place:place] = draw(st.binary(min_size=1, max_size=16))
            case "repeat":
                start = draw(st.integers(0, len(content)))
                content[place:place] = content[start : start + 64]
            case _:
                del content[place:]
    return bytes(content)


@st.composite
def altered(draw: st.DrawFn, document: Any) -> Any:
    """Return a JSON document with one to three values replaced, removed or added."""
    holder = [copy.deepcopy(document)]
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(holder))
        inside, key = places[draw(st.integers(0, len(places) - 1))]
        match draw(st.sampled_from(["replace", "replace", "replace", "take", "add"])):
            case "take" if inside is not holder:
                del inside[key]
            case "add" if isinstance(inside, dict):
                inside[draw(TEXTS)] = draw(VALUES)
            case _:
                inside[key] = draw(VALUES | st.sampled_from(_leaves(document)))
    return holder[0]


def _places(inside: Any) -> Iterator[tuple[Any, Any]]:
    """Yield container and key of every value inside."""
    for key in list(inside) if isinstance(inside, dict) else range(len(inside)):
        yield inside, key
        if isinstance(inside[key], dict | list):
            yield from _places(inside[key])


def _leaves(document: Any) -> list[Any]:
    """Return all values that are not containers: the right kind in the wrong place."""
    return [inside[key] for inside, key in _places([document]) if not isinstance(inside[key], dict | list)]
