"""The model card: what a person reads before a bundle scores anyone."""

from app.scoring.agreement import Agreement
from app.scoring.bundle import Bundle, Head
from app.scoring.gate import gate_table
from app.scoring.teacher import TeacherBundle

ROWS = (
    ("responses", "n"),
    ("QWK", "qwk"),
    ("exact agreement", "exact"),
    ("exact or adjacent", "adjacent"),
    ("standardised mean difference", "smd"),
    ("macro-F1", "macro_f1"),
    ("RMSE", "rmse"),
    ("MAE", "mae"),
    ("Pearson's r", "pearson"),
    ("human grades inside the interval", "coverage"),
    ("QWK of the two human raters", "human_qwk"),
    ("exact agreement of the human raters", "human_exact"),
    ("RMSE of the human raters", "human_rmse"),
    ("responses that two raters scored", "human_n"),
)


def card_of(bundle: Bundle, counts: dict[str, int]) -> str:
    """Markdown.  `counts` says how many texts of each kind the student learnt from and was measured on."""
    item, made, evidence = bundle.item, bundle.provenance, bundle.evidence
    scale = f"{item.scale}{':' if item.labels else ''} {item.extent}"
    gate = bundle.gate
    chosen = "" if bundle.head.chosen_on is None else f" (chosen on {bundle.head.chosen_on:,} marked responses)"
    use = f"No confidence was enough for a score to stand alone{chosen}: a person looks at every one."
    if bundle.threshold is not None:
        use = f"A score may stand from confidence {bundle.threshold:.3f}{chosen}; below it a person looks."
        if evidence.accepted is not None:
            use += (
                f" Of {_number(evidence.n)}dev responses {evidence.accepted.share:.0%} reached it{_accepted(bundle)}."
            )
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
        "## Gate",
        "",
        f"{'Passed' if gate.passed else 'Not passed'}: what it must show before its scores may stand without a person.",
        "",
        "| rule | measured | limit | |",
        "|---|---|---|---|",
        *(f"| {' | '.join(row)} |" for row in gate_table(gate)),
        "",
        "## Use",
        "",
        f"- {use}",
        f"- {_decoding(bundle)}",
        f"- Responses are read up to {bundle.max_tokens} tokens.",
        "- It scores answers to this question only, by learners like those it learnt from. It does not know cheating.",
        f"- Before the student is asked: {_held_back(bundle)}.",
        "",
        "## Made from",
        "",
        *(f"- {name.replace('_', ' ')}: {count}" for name, count in counts.items()),
        f"- teacher: {made.teacher or 'none'}",
        f"- seed {made.seed}, data sha256 {made.data_sha256[:16]}…, {made.created_at:%Y-%m-%d %H:%M} UTC",
        "",
    ]
    return "\n".join(lines)


def _held_back(bundle: Bundle) -> str:
    if not bundle.flagged:
        return "blank responses, refusals and what is far from all that was seen are held back or flagged; none on dev"
    shares = ", ".join(f"{name.replace('_', ' ')} {share:.1%}" for name, share in bundle.flagged.items())
    return f"of the dev responses were held back or flagged: {shares}"


def _decoding(bundle: Bundle) -> str:
    head = bundle.head
    sure = f"The confidence is the calibrated probability that a rater would give the same{_error(bundle)}."
    if head.interval is not None:
        return (
            f"{_promise(head, 'The interval about a grade', 'is the whole scale')}  The confidence is the calibrated "
            f"probability that a human grade lies within {bundle.item.tolerance:g} of the one given{_error(bundle)}."
        )
    sets = _promise(head, "A prediction set", "holds every score")
    if head.cuts is None:
        return f"The most probable label is given.  {sure}  {sets}"
    cuts = ", ".join(f"{cut:.2f}" for cut in head.cuts)
    return (
        f"The expected score becomes a score at the cuts {cuts} (placed for the highest expected QWK).  {sure}  {sets}"
    )


def _promise(head: Head, subject: str, otherwise: str) -> str:
    if head.coverage is None:
        return f"{subject} {otherwise}: {head.chosen_on} responses are too few to promise less."
    basis = "" if head.chosen_on is None else f", by {head.chosen_on:,} marked responses"
    return f"{subject} is made to hold {head.coverage:.0%} of human scores{basis}."


def _accepted(bundle: Bundle) -> str:
    """Return the agreement of those that reached the threshold, and their number."""
    accepted = bundle.evidence.accepted
    if accepted is None or accepted.agreement is None:
        return ""
    figure = accepted.agreement.qwk if bundle.item.is_ordered else accepted.agreement.exact
    name = "QWK" if bundle.item.is_ordered else "exact agreement"
    return "" if figure is None else f": {name} {figure:.3f} on these {accepted.agreement.n:,}"


def _number(n: int | None) -> str:
    return "the " if n is None else f"{n:,} "


def _error(bundle: Bundle) -> str:
    before, after = bundle.evidence.ece_uncalibrated, bundle.evidence.ece
    if before is None or after is None:
        return ""
    return f" (calibration error {after:.3f} on {_number(bundle.evidence.n)}dev responses, uncalibrated {before:.3f})"


def teacher_card(bundle: TeacherBundle) -> str:
    """Markdown."""
    made = bundle.provenance
    lines = [
        f"# Teacher {bundle.name}",
        "",
        f"`_teachers/{bundle.name}/{bundle.version}`: {bundle.members} of {made.teacher}, {bundle.precision}.  The "
        "service falls back on it where a student is not sure enough.",
        "",
        "On validation: " + ", ".join(f"{name} {figure:.3f}" for name, figure in bundle.merit.items()) + ".",
        "",
        "| item | dev responses | QWK | exact agreement | a score may stand from |",
        "|---|---|---|---|---|",
    ]
    for own in bundle.items:
        found = own.agreement
        figures = ["-", "-", "-"] if found is None else [str(found.n), _shown(found.qwk), _shown(found.exact)]
        lines.append(f"| {own.item.item_id} | {' | '.join([*figures, _shown(own.threshold)])} |")
    lines += [
        "",
        f"Seed {made.seed}, data sha256 {made.data_sha256[:16]}…, {made.created_at:%Y-%m-%d %H:%M} UTC.",
        "",
    ]
    return "\n".join(lines)


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
