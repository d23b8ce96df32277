"""The question that a language model behind an API is asked, and the codes that it may reply with."""

import string

from app.scoring.item import Item
from training.errors import BadConfig

MAX_CODES = 26
QUESTION_FORMAT = 1  # raised when the words of the question change, so that answers to other words are asked for again
SYSTEM = "You mark learners' short answers as a fair, strict teacher does. Reply with one {code} and nothing else."


def codes(item: Item) -> tuple[str, ...]:
    """Return the replies that the model may give, one token a score: digits, or letters for labels and longer scales.

    Raise BadConfig for grades, and for more scores than there are letters.
    """
    if item.is_continuous:
        raise BadConfig(
            f"{item.item_id}: a model behind an API gives scores or labels, not grades: name another teacher.kind",
            code="api_gives_no_grades",
            item_id=item.item_id,
        )
    if item.choices > MAX_CODES:
        raise BadConfig(
            f"{item.item_id}: a model behind an API gives at most {MAX_CODES} scores, not {item.choices}: name another "
            "teacher.kind",
            code="too_many_scores_for_api",
            item_id=item.item_id,
            choices=item.choices,
            limit=MAX_CODES,
        )
    if item.labels is None and (item.bottom_score or 0) >= 0 and (item.top_score or 0) <= 9:
        return tuple(item.names())
    return tuple(string.ascii_uppercase[: item.choices])


def question(item: Item) -> str:
    """Return the text before each response: question, guide, good answers, and the codes with their meanings."""
    parts = [("Text", item.passage), ("Question", item.prompt), ("Marking guide", item.rubric)]
    lines = [f"{name}:\n{text}" for name, text in parts if text]
    lines += [f"A good answer:\n{reference}" for reference in item.references]
    marks = [f"{code} = {meaning}" for code, meaning in zip(codes(item), _meanings(item), strict=True)]
    lines.append("\n".join(["Marks:", *marks]))
    return "\n\n".join(lines)


def messages(context: str, response: str, known: tuple[str, ...]) -> list[dict[str, str]]:
    """Return the chat that asks for the code of one response."""
    code = "digit" if known[0] == "0" else "letter"
    asked = f"{context}\n\nThe learner's answer:\n{response}\n\nYour mark:"
    return [{"role": "system", "content": SYSTEM.format(code=code)}, {"role": "user", "content": asked}]


def _meanings(item: Item) -> tuple[str, ...]:
    if item.labels:
        return item.labels
    unit = " points" if item.bottom_score == 0 and item.better == "higher" else ""
    return tuple(f"{item.in_words(value)}{unit}" for value in range(item.choices))
