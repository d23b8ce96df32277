"""The grammar of a demo item: statements in many wordings, and the score that the rubric gives for them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import yaml

ITEMS_FOLDER = Path(__file__).parent / "items"
SKEW = 2.2  # 1 would draw every option alike
_SLOT = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True)
class Statement:
    """A statement that a response may make, in many wordings."""

    name: str
    phrasings: tuple[str, ...]
    cancels: tuple[str, ...] = ()  # ideas that earn no point beside this statement
    cap: int | None = None  # the most points a response with this statement can get
    label: str | None = None  # of a nominal item
    opening: str = "any"


@dataclass(frozen=True)
class Grammar:
    """An item with all statements that responses are made of."""

    item: Mapping[str, Any]  # as items.jsonl has it
    ideas: tuple[Statement, ...]
    misconceptions: tuple[Statement, ...]
    vague: Statement
    digressions: Statement
    refusals: Statement
    keywords: Statement
    openings: Mapping[str, tuple[str, ...]]
    connectives: tuple[str, ...]
    closers: tuple[str, ...]
    slots: Mapping[str, str]
    misspellings: Mapping[str, Sequence[str]]


def load_grammars(folder: Path = ITEMS_FOLDER) -> list[Grammar]:
    """Return the grammar of every YAML file in a folder."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.yaml"))]
    return [_grammar(yaml.safe_load(text)) for text in texts]


def mark(grammar: Grammar, stated: Sequence[Statement]) -> int | str:
    """Return the score or label that the rubric gives for these statements.

    Points and ordinal items count the ideas stated and not cancelled, up to the lowest cap.  Nominal items give the
    label of a misconception, or else of an idea, or else the item's last label.
    """
    item = grammar.item
    if item["scale"] == "nominal":
        ranked = [*grammar.misconceptions, *grammar.ideas]
        shown = [statement.label for statement in ranked if statement in stated and statement.label]
        return shown[0] if shown else str(item["labels"][-1])
    lost = {name for statement in stated for name in statement.cancels}
    credited = [idea for idea in grammar.ideas if idea in stated and idea.name not in lost]
    caps = [statement.cap for statement in stated if statement.cap is not None]
    points = min([len(credited), *caps])
    return points if item["scale"] == "points" else str(item["labels"][points])


def expand(phrasing: str, grammar: Grammar, habits: dict[str, str], rng: Random) -> str:
    """Return a wording of a phrasing.

    `habits` holds the words drawn for each slot, because few learners vary their words on purpose.
    """

    def draw(slot: re.Match[str]) -> str:
        name = slot[1]
        if "|" in name:
            return pick(name.split("|"), rng)
        if name not in habits or rng.random() < 0.2:
            habits[name] = pick(grammar.slots[name].split("|"), rng)
        return habits[name]

    while _SLOT.search(phrasing):  # the innermost slots first
        phrasing = _SLOT.sub(draw, phrasing)
    return " ".join(phrasing.split())


def pick(options: Sequence[str], rng: Random) -> str:
    """Draw an option, the first ones most often: few wordings make up most responses of a class."""
    place = len(options) * rng.random() ** SKEW
    return options[int(place)]


def _grammar(source: Mapping[str, Any]) -> Grammar:
    parts = dict(source["grammar"])
    for name in ("ideas", "misconceptions"):
        parts[name] = tuple(_statement(key, **fields) for key, fields in parts[name].items())
    for name in ("vague", "digressions", "refusals", "keywords"):
        parts[name] = _statement(name, parts[name])
    parts["openings"] = {group: _lines(block) for group, block in parts["openings"].items()}
    parts["connectives"] = tuple(parts["connectives"])
    parts["closers"] = _lines(parts["closers"])
    return Grammar(source["item"], **parts)


def _statement(name: str, phrasings: str, cancels: Sequence[str] = (), **fields: Any) -> Statement:
    return Statement(name, _lines(phrasings), tuple(cancels), **fields)


def _lines(block: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in block.splitlines() if line.strip())
