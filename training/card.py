"""The model card: what a person reads before a bundle scores anyone."""

from app.scoring.agreement import Agreement
from app.scoring.bundle import Bundle

ROWS = (
    ("responses", "n"),
    ("QWK", "qwk"),
    ("exact agreement", "exact"),
    ("exact or adjacent", "adjacent"),
    ("standardised mean difference", "smd"),
    ("macro-F1", "macro_f1"),
    ("QWK of the two human raters", "human_qwk"),
    ("exact agreement of the human raters", "human_exact"),
)


def card_of(bundle: Bundle, counts: dict[str, int]) -> str:
    """Markdown.  `counts` says how many texts of each kind the student learnt from and was measured on."""
    item, made = bundle.item, bundle.provenance
    scale = f"points 0 to {item.max_score}" if item.labels is None else f"{item.scale}: {', '.join(item.labels)}"
    use = "No confidence was enough for a score to stand alone: a person looks at every one."
    if bundle.threshold is not None:
        use = f"A score may stand from confidence {bundle.threshold:.3f}; below it a person looks."
    lines = [
        f"# {item.title or item.item_id}",
        "",
        f"Student `{item.item_id}/{bundle.version}`: {bundle.parameters:,} parameters, scale {scale}.",
        "",
        f"> {item.prompt.strip().splitlines()[0]}",
        "",
        "## Agreement with the human score on dev",
        "",
        *_table(bundle.agreement, made.teacher_agreement),
        "",
        "## Use",
        "",
        f"- {use}",
        f"- {_decoding(bundle)} The confidence is the network's own probability, not yet calibrated.",
        f"- Responses are read up to {bundle.max_tokens} tokens.",
        "- It scores answers to this question only, by learners like those it learnt from. It does not know cheating, "
        "copied text or other languages.",
        "",
        "## Made from",
        "",
        *(f"- {name.replace('_', ' ')}: {count}" for name, count in counts.items()),
        f"- teacher: {made.teacher or 'none'}",
        f"- seed {made.seed}, data sha256 {made.data_sha256[:16]}…, {made.created_at:%Y-%m-%d %H:%M} UTC",
        "",
    ]
    return "\n".join(lines)


def _decoding(bundle: Bundle) -> str:
    if bundle.head.cuts is None:
        return "The most probable label is given."
    cuts = ", ".join(f"{cut:.2f}" for cut in bundle.head.cuts)
    return f"The expected score becomes a score at the cuts {cuts} (equipercentile linking to the human scores)."


def _table(student: Agreement | None, teacher: Agreement | None) -> list[str]:
    if student is None:
        return ["Not measured: there were no dev rows."]
    lines = ["| | student | teacher |", "|---|---|---|"]
    for title, name in ROWS:
        values = [_shown(getattr(a, name)) if a is not None else "-" for a in (student, teacher)]
        if values[0] != "-":
            lines.append(f"| {title} | {values[0]} | {values[1]} |")
    return lines


def _shown(value: float | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.3f}"
