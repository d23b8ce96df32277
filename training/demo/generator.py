"""Simulated learners answer the demo items.

A response is composed of statements and scored by them alone.  So wording, spelling and a learner's group never change
a score, and the rubric explains every score.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from training.demo.grammar import Grammar, Statement, expand, load_grammars, mark, pick

SEED = 20
WORDS = range(3, 61)  # length of a response in words; only refusals and bare keywords are shorter
RATERS_DIFFER = 0.06  # share of responses with a second rater one point off
SPLITS = {"train": 600, "dev": 150, "unlabelled": 250}  # learners, each with a response to every item
GROUPS = {"first": 0.025, "additional": 0.04}  # group_language: share of words that an average learner misspells
REGISTERS = ("tidy", "tidy", "lower", "bare", "bare", "run-on")
RUN_ON = (" and ", " and then ", " ", " and ")
LONG_JOIN = 10  # characters; a longer join, as "another reason is that", occurs once in a response
FILLERS = ("like ", "um ", "basically ", "maybe ", "i think ", "so ")
MISSPELLINGS: dict[str, list[str]] = {
    "because": ["becuase", "becos", "becase", "cuz", "bcause"],
    "bigger": ["biger"],
    "there": ["their", "ther"],
    "their": ["there"],
    "water": ["watter", "wator"],
    "when": ["wen"],
    "which": ["wich"],
    "right": ["rite"],
    "number": ["numba", "nummber"],
    "than": ["then"],
    "more": ["mor"],
    "quicker": ["quiker", "qwicker"],
}

DemoRow = dict[str, str | int]


@dataclass(frozen=True)
class Learner:
    learner_id: str
    group: str
    ability: float  # 0 to 1; raises the probability of ideas and lowers that of misconceptions
    misspelt: float  # share of words
    register: str
    chatty: float  # probability of an opening, closer, filler or digression


@dataclass(frozen=True)
class DemoAnswer:
    text: str
    stated: tuple[Statement, ...]


@dataclass(frozen=True)
class Demo:
    items: list[Mapping[str, Any]]
    train: list[DemoRow]
    dev: list[DemoRow]
    unlabelled: list[DemoRow]


def generate(seed: int = SEED) -> Demo:
    """Return the demo data of a seed."""
    learners = _learners(stream(seed, "learners"))
    rows: dict[str, list[DemoRow]] = {split: [] for split in SPLITS}
    grammars = load_grammars()
    for grammar in grammars:
        # Each item has its random numbers, so that a new phrasing leaves the responses to all other items unchanged.
        rng = stream(seed, grammar.item["item_id"])
        split_of: dict[str, str] = {}  # normalised response: the only split that may hold it
        for split in SPLITS:
            for learner in learners[split]:
                response = _new_answer(grammar, learner, split, split_of, rng)
                rows[split].append(_row(grammar, learner, response, split != "unlabelled", rng))
    return Demo([grammar.item for grammar in grammars], **rows)


def _new_answer(grammar: Grammar, learner: Learner, split: str, split_of: dict[str, str], rng: Random) -> DemoAnswer:
    """Return a response that no other split has."""
    while True:
        response = answer(grammar, learner, rng)
        if split_of.setdefault(normalised(response.text), split) == split:
            return response


def files(demo: Demo) -> dict[str, bytes]:
    """Return the content of every file by its name."""
    contents = {}
    for name in ("items", "train", "dev", "unlabelled"):
        rows: list[Mapping[str, Any]] = getattr(demo, name)
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
        contents[f"{name}.jsonl"] = "".join(lines).encode()
    return contents


def write(demo: Demo, folder: Path) -> list[Path]:
    """Write all files to a folder and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = files(demo)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in contents]


def answer(grammar: Grammar, learner: Learner, rng: Random) -> DemoAnswer:
    """Return a learner's response to an item, within the lengths of WORDS unless it is a refusal or bare keywords."""
    while True:
        stated = _plan(grammar, learner, rng)
        bare = stated[0] in (grammar.refusals, grammar.keywords)
        text = _phrase(stated[0].phrasings, grammar, {}, rng) if bare else _say(grammar, stated, learner, rng)
        text = _dress(_misspell(text, grammar, learner, rng), learner)
        if text and (bare or len(text.split()) in WORDS):
            return DemoAnswer(text, tuple(stated))


def normalised(text: str) -> str:
    """Return the words alone, so that responses of two splits never differ in punctuation only."""
    words = re.findall(r"\w+", text.casefold())
    return " ".join(words)


def stream(seed: int, name: str) -> Random:
    return Random(f"{seed}/{name}")


def _learners(rng: Random) -> dict[str, list[Learner]]:
    numbers = list(range(1, sum(SPLITS.values()) + 1))
    rng.shuffle(numbers)  # an id says nothing about its split
    learners = {}
    for split, size in SPLITS.items():
        chosen, numbers = sorted(numbers[:size]), numbers[size:]
        learners[split] = [_learner(number, rng) for number in chosen]
    return learners


def _learner(number: int, rng: Random) -> Learner:
    group = "additional" if rng.random() < 0.3 else "first"
    misspelt = GROUPS[group] * rng.choice((0, 0.5, 1, 1, 3.5))
    chatty = rng.choice((0.05, 0.2, 0.4))
    return Learner(f"demo-learner-{number:04}", group, rng.random(), misspelt, rng.choice(REGISTERS), chatty)


def _row(grammar: Grammar, learner: Learner, response: DemoAnswer, marked: bool, rng: Random) -> DemoRow:
    item_id = grammar.item["item_id"]
    row: DemoRow = {"id": f"{item_id}-{learner.learner_id[-4:]}", "item_id": item_id, "response": response.text}
    if marked:
        score = mark(grammar, response.stated)
        if isinstance(score, int):
            second = _second_rater(score, grammar.item["max_score"], rng)
            row |= {"score": score, "score_1": score, "score_2": second}
        else:
            row |= {"label": score}
    return row | {"learner_id": learner.learner_id, "group_language": learner.group}


def _second_rater(score: int, max_score: int, rng: Random) -> int:
    if rng.random() >= RATERS_DIFFER:
        return score
    return rng.choice([near for near in (score - 1, score + 1) if 0 <= near <= max_score])


def _plan(grammar: Grammar, learner: Learner, rng: Random) -> list[Statement]:
    kind = rng.random()
    if kind < 0.06:
        return [grammar.refusals if kind < 0.03 else grammar.keywords]
    choose = _plan_reason if grammar.item["scale"] == "nominal" else _plan_ideas
    stated = choose(grammar, learner.ability, rng)
    if not stated or rng.random() < 0.15:
        stated.append(grammar.vague)
    if rng.random() < learner.chatty / 2:
        stated.append(grammar.digressions)
    rng.shuffle(stated)
    return stated


def _plan_ideas(grammar: Grammar, ability: float, rng: Random) -> list[Statement]:
    stated = []
    for idea in grammar.ideas:
        rivals = [wrong for wrong in grammar.misconceptions if idea.name in wrong.cancels]
        known = rng.random() < 0.2 + 0.8 * ability
        if known:
            stated.append(idea)
        if rng.random() < (0.03 if known else 0.18):
            stated.append(rng.choice(rivals))
    harmless = [wrong for wrong in grammar.misconceptions if not wrong.cancels]
    if rng.random() < 0.25 - 0.15 * ability:
        stated.append(rng.choice(harmless))
    return stated


def _plan_reason(grammar: Grammar, ability: float, rng: Random) -> list[Statement]:
    stated = []
    if rng.random() < 0.15 + 0.6 * ability:
        stated = rng.sample(grammar.ideas, rng.choice((1, 1, 1, 2)))
    if rng.random() < (0.12 if stated else 0.75):
        stated.append(rng.choice(grammar.misconceptions))
    return stated


def _say(grammar: Grammar, stated: Sequence[Statement], learner: Learner, rng: Random) -> str:
    habits: dict[str, str] = {}
    joins = RUN_ON if learner.register == "run-on" else grammar.connectives
    text = _phrase(stated[0].phrasings, grammar, habits, rng)
    if rng.random() < 0.25 + learner.chatty and stated[0] is not grammar.digressions:
        # A few openings contradict the reason given; the rubrics score the reason.
        group = stated[0].opening if rng.random() < 0.92 else rng.choice(list(grammar.openings))
        text = _phrase(grammar.openings[group], grammar, habits, rng) + " " + text
    for statement in stated[1:]:
        join = rng.choice([join for join in joins if len(join) < LONG_JOIN or join not in text])
        filler = rng.choice(FILLERS) if rng.random() < learner.chatty / 3 else ""
        text += join + filler + _phrase(statement.phrasings, grammar, habits, rng)
    if rng.random() < learner.chatty:
        text += rng.choice(joins[:2]) + _phrase(grammar.closers, grammar, habits, rng)
    return text


def _phrase(phrasings: Sequence[str], grammar: Grammar, habits: dict[str, str], rng: Random) -> str:
    return expand(pick(phrasings, rng), grammar, habits, rng)


def _misspell(text: str, grammar: Grammar, learner: Learner, rng: Random) -> str:
    def spell(match: re.Match[str]) -> str:
        word = match[0]
        if rng.random() >= learner.misspelt:
            return word
        known = grammar.misspellings.get(word.lower()) or MISSPELLINGS.get(word.lower())
        if known and rng.random() < 0.7:
            return rng.choice(known)
        at = rng.randrange(1, len(word) - 1)
        before, letter, after = word[:at], word[at], word[at + 1 :]
        dropped, doubled = before + after, before + letter + letter + after
        swapped = before + after[0] + letter + after[1:]
        return rng.choice((dropped, swapped, doubled))

    # Only words of four letters or more, because a letter lost from "not" could reverse the meaning.
    return re.sub(r"[A-Za-z]{4,}", spell, text)


def _dress(text: str, learner: Learner) -> str:
    if learner.register == "tidy":
        text = re.sub(r"\bi\b", "I", text)
        text = re.sub(r"(^|[.?] )([a-z])", lambda start: start[1] + start[2].upper(), text)
        return text if text.endswith(("?", ".")) else text + "."
    text = text.lower() if learner.register != "run-on" else text
    text = re.sub(r"[.,;'](?!\d)", "", text) if learner.register != "lower" else text
    return " ".join(text.split())
