"""The figures of one way to give feedback, and the card of a feedback model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.scoring.feedback.bundle import FeedbackBundle, FigureValue
from training.feedback.data import FeedbackData, MarkedFeedback
from training.feedback.measures import Likeness, likeness
from training.feedback.verdicts import Reader, agreement
from training.feedback.words import bleu_tokenizer

COLUMNS = ("BLEU", "chrF", "ROUGE-1", "ROUGE-2", "ROUGE-L", "similarity")


@dataclass(frozen=True, slots=True)
class FeedbackFigures:
    title: str
    rows: int
    all: Likeness
    telling_rows: int
    telling: Likeness | None  # on rows whose human feedback is more than a bare verdict; None without such rows
    agreement: float  # share of texts whose verdict is that of the score
    objections: Mapping[str, int]  # how often the screen objected, and why

    def as_dict(self) -> dict[str, FigureValue]:
        """Return the figures by name; None where one is undefined."""
        found: dict[str, FigureValue] = {"rows": float(self.rows), "verdict_agreement": round(self.agreement, 4)}
        found |= self.all.as_dict() | {"signature": self.all.signature}
        if self.telling is not None:
            found |= {f"telling_{name}": value for name, value in self.telling.as_dict().items()}
            found["telling_rows"] = float(self.telling_rows)
        return found | {f"objected_{why}": float(count) for why, count in self.objections.items()}


def figures_of(
    title: str,
    rows: Sequence[MarkedFeedback],
    texts: Sequence[str],
    more: Sequence[bool],
    reader: Reader,
    objections: Mapping[str, int],
) -> FeedbackFigures:
    """texts[i] is for rows[i]; more[i]: whether its human feedback is more than a bare verdict."""
    human = [row.feedback for row in rows]
    telling = [number for number, own in enumerate(more) if own]
    tokenizer = bleu_tokenizer(human)
    of_telling = None
    if telling:
        of_telling = likeness([texts[n] for n in telling], [human[n] for n in telling], tokenizer)
    return FeedbackFigures(
        title=title,
        rows=len(rows),
        all=likeness(texts, human, tokenizer),
        telling_rows=len(telling),
        telling=of_telling,
        agreement=agreement(reader, rows, texts),
        objections=objections,
    )


def table(found: Sequence[FeedbackFigures], telling: bool) -> list[list[str]]:
    """A row each: title, the columns of COLUMNS, verdict agreement."""
    rows = []
    for own in found:
        likeness = own.telling if telling else own.all
        if likeness is not None:
            shares = (likeness.rouge_1, likeness.rouge_2, likeness.rouge_l, likeness.similarity)
            shown = [*(_shown(value, 1) for value in (likeness.bleu, likeness.chrf)), *(_shown(v, 3) for v in shares)]
            rows.append([own.title, *shown, f"{own.agreement:.1%}"])
    return rows


def _shown(value: float | None, digits: int) -> str:
    return "undefined" if value is None else f"{value:.{digits}f}"


def card_of(bundle: FeedbackBundle, data: FeedbackData, reader: Reader, found: Sequence[FeedbackFigures]) -> str:
    """Markdown: what a person reads before learners are told anything by this model."""
    made = bundle.provenance
    lines = [
        f"# Feedback model {bundle.name}/{bundle.version}",
        "",
        f"{made.base}, tuning {made.config['tuning']}, on {len(data.train)} responses with "
        f"raters' feedback to {len(bundle.items)} items.",
        "",
        "It writes what raters would be likely to write, and can be wrong in what it says. A text is replaced by the "
        "item's bank where it is empty, repeats the response, or its verdict is not the score's.",
        "",
        f"Verdicts were read rightly from {reader.accuracy:.1%} of raters' feedback that was not learnt from; "
        f"{reader.held_back:.1%} of it would have been held back.",
        "",
    ]
    for telling, title in ((False, "All dev rows"), (True, "Rows whose human feedback is more than a bare verdict")):
        rows = table(found, telling)
        if rows:
            count = found[0].telling_rows if telling else found[0].rows
            head = ["", *COLUMNS, "verdict agreement, all rows"]
            lines += [f"## {title} ({count})", "", _line(head), _line(["---"] * len(head)), *map(_line, rows), ""]
    if found:
        lines += [f"Measured by: {found[0].all.signature}.", ""]
    if found and found[0].objections:
        objected = ", ".join(f"{why.replace('_', ' ')} {count}" for why, count in found[0].objections.items())
        lines += [
            f"The screen objected to {sum(found[0].objections.values())} of {found[0].rows} texts: {objected}.",
            "",
        ]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
