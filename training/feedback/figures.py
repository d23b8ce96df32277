"""The figures of feedback texts, and the card of a feedback model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.scoring.feedback.bundle import FeedbackBundle, FigureValue
from training.feedback.data import FeedbackData, MarkedFeedback
from training.feedback.measures import Likeness, likeness
from training.feedback.verdicts import Reader, verdict_agreement
from training.feedback.words import bleu_tokenizer

COLUMNS = ("BLEU", "chrF", "ROUGE-1", "ROUGE-2", "ROUGE-L", "similarity")


@dataclass(frozen=True, slots=True)
class FeedbackFigures:
    """The figures of one source of feedback on dev."""

    title: str
    rows: int
    all: Likeness
    telling_rows: int
    telling: Likeness | None  # on rows with more than a verdict in their human feedback; None without such rows
    agreement: float  # share of texts with the verdict of the score
    objections: Mapping[str, int]  # numbers of the screen's objections, by reason

    def as_dict(self) -> dict[str, FigureValue]:
        """Return the figures by name; an undefined figure is None."""
        figures: dict[str, FigureValue] = {"rows": float(self.rows), "verdict_agreement": round(self.agreement, 4)}
        figures |= self.all.as_dict() | {"signature": self.all.signature}
        if self.telling is not None:
            figures |= {f"telling_{name}": value for name, value in self.telling.as_dict().items()}
            figures["telling_rows"] = float(self.telling_rows)
        return figures | {f"objected_{reason}": float(count) for reason, count in self.objections.items()}


def feedback_figures(
    title: str,
    rows: Sequence[MarkedFeedback],
    texts: Sequence[str],
    more: Sequence[bool],
    reader: Reader,
    objections: Mapping[str, int],
) -> FeedbackFigures:
    """Return the figures of texts, compared with raters' feedback.

    `texts`: a text for each row; `more`: whether a row's human feedback is more than a bare verdict; `objections`: the
    numbers of the screen's objections, by reason.
    """
    human = [row.feedback for row in rows]
    telling = [number for number, is_more in enumerate(more) if is_more]
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
        agreement=verdict_agreement(reader, rows, texts),
        objections=objections,
    )


def table(figures: Sequence[FeedbackFigures], telling: bool) -> list[list[str]]:
    """Return a row for each source of feedback: title, COLUMNS, verdict agreement.

    `telling`: on the rows whose human feedback is more than a bare verdict, and not on all rows.
    """
    rows = []
    for of_source in figures:
        values = of_source.telling if telling else of_source.all
        if values is not None:
            shares = (values.rouge_1, values.rouge_2, values.rouge_l, values.similarity)
            cells = [_shown(values.bleu, 1), _shown(values.chrf, 1), *(_shown(share, 3) for share in shares)]
            rows.append([of_source.title, *cells, f"{of_source.agreement:.1%}"])
    return rows


def _shown(value: float | None, digits: int) -> str:
    return "undefined" if value is None else f"{value:.{digits}f}"


def feedback_card(
    bundle: FeedbackBundle, data: FeedbackData, reader: Reader, figures: Sequence[FeedbackFigures]
) -> str:
    """Return the model card in Markdown, for the decision whether the model may write to learners."""
    provenance = bundle.provenance
    lines = [
        f"# Feedback model {bundle.name}/{bundle.version}",
        "",
        f"{provenance.base}, tuning {provenance.config['tuning']}, trained on {len(data.train)} responses with "
        f"raters' feedback to {len(bundle.items)} items.",
        "",
        "The model writes text that raters would be likely to write, and the text can be wrong. The item's bank "
        "replaces a text that is empty, repeats the response, or has another verdict than the score.",
        "",
        f"The verdict reader was right on {reader.accuracy:.1%} of held-out feedback by raters, and would have held "
        f"back {reader.held_back:.1%} of it.",
        "",
    ]
    return "\n".join([*lines, *_tables(figures), *_screen(figures)])


def _tables(figures: Sequence[FeedbackFigures]) -> list[str]:
    """Return the lines of the card's tables."""
    lines = []
    for telling, title in ((False, "All dev rows"), (True, "Rows whose human feedback is more than a bare verdict")):
        if rows := table(figures, telling):
            count = figures[0].telling_rows if telling else figures[0].rows
            head = ["", *COLUMNS, "verdict agreement, all rows"]
            body = [_line(row) for row in rows]
            lines += [f"## {title} ({count})", "", _line(head), _line(["---"] * len(head)), *body, ""]
    return lines


def _screen(figures: Sequence[FeedbackFigures]) -> list[str]:
    """Return the lines on the settings of the figures, and on the screen's objections to the model's texts."""
    if not figures:
        return []
    generated = figures[0]
    lines = [f"Measured by: {generated.all.signature}.", ""]
    if generated.objections:
        reasons = [f"{reason.replace('_', ' ')} {count}" for reason, count in generated.objections.items()]
        total = sum(generated.objections.values())
        lines += [f"The screen objected to {total} of {generated.rows} texts: {', '.join(reasons)}.", ""]
    return lines


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
