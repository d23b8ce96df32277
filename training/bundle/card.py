"""Model cards in Markdown, for the decision whether a bundle may score learners."""

from app.scoring.agreement import Agreement
from app.scoring.bundle import Bundle, Head, Provenance
from app.scoring.gate import gate_table
from app.scoring.teacher import TeacherBundle

FIGURES = (
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
    ("double-scored responses", "human_n"),
)


def student_card(bundle: Bundle, counts: dict[str, int]) -> str:
    """Return the model card of a student.

    `counts`: the number of texts of each kind that the student was trained on and measured on.
    """
    item, provenance, gate = bundle.item, bundle.provenance, bundle.gate
    colon = ":" if item.labels else ""
    scale, question = f"{item.scale}{colon} {item.extent}", item.prompt.strip().splitlines()[0]
    verdict = "Passed" if gate.passed else "Not passed"
    lines = [
        f"# {item.title or item.item_id}",
        "",
        f"Student `{item.item_id}/{bundle.version}`: {bundle.parameters:,} parameters, scale {scale}.",
        "",
        f"> {question}",
        "",
        "## Agreement with the human score on dev",
        "",
        *_table(bundle.agreement, provenance.teacher_agreement),
        "",
        "## Gate",
        "",
        f"{verdict}. A bundle must pass every rule before its scores may stand without a person.",
        "",
        "| rule | measured | limit | |",
        "|---|---|---|---|",
        *(f"| {' | '.join(row)} |" for row in gate_table(gate)),
        "",
        "## Use",
        "",
        *(f"- {sentence}" for sentence in _uses(bundle)),
        "",
        "## Training data",
        "",
        *(f"- {name.replace('_', ' ')}: {count}" for name, count in counts.items()),
        f"- teacher: {provenance.teacher or 'none'}",
        f"- {_origin(provenance, 'seed')}",
    ]
    return "\n".join([*lines, ""])


def _uses(bundle: Bundle) -> list[str]:
    return [
        _threshold(bundle),
        _decoding(bundle),
        f"The student reads the first {bundle.max_tokens} tokens of a response.",
        "The student scores responses to this question only, by learners like those it was trained on. It does not "
        "detect cheating.",
        _held_back(bundle),
    ]


def _origin(provenance: Provenance, seed: str) -> str:
    """Return seed, data and time of the training; `seed` is the word for it."""
    data = f"data sha256 {provenance.data_sha256[:16]}…"
    return f"{seed} {provenance.seed}, {data}, {provenance.created_at:%Y-%m-%d %H:%M} UTC"


def _threshold(bundle: Bundle) -> str:
    chosen_on, accepted = bundle.head.chosen_on, bundle.evidence.accepted
    basis = "" if chosen_on is None else f" (chosen on {chosen_on:,} marked responses)"
    if bundle.threshold is None:
        return f"No confidence was high enough for a score to stand alone{basis}: a person must review every score."
    rule = f"A score may stand from confidence {bundle.threshold:.3f}{basis}; a person must review scores below it."
    if accepted is None:
        return rule
    return f"{rule} Of {_number(bundle.evidence.n)}dev responses {accepted.share:.0%} reached it{_accepted(bundle)}."


def _accepted(bundle: Bundle) -> str:
    """Return the agreement of responses that reached the threshold, and their number."""
    accepted = bundle.evidence.accepted
    if accepted is None or accepted.agreement is None:
        return ""
    figure = accepted.agreement.qwk if bundle.item.is_ordered else accepted.agreement.exact
    name = "QWK" if bundle.item.is_ordered else "exact agreement"
    return "" if figure is None else f": {name} {figure:.3f} on these {accepted.agreement.n:,}"


def _held_back(bundle: Bundle) -> str:
    if not bundle.flagged:
        return (
            "Blank responses, refusals and responses unlike all that training saw are held back or flagged before the "
            "student scores; none on dev."
        )
    shares = ", ".join(f"{name.replace('_', ' ')} {share:.1%}" for name, share in bundle.flagged.items())
    return f"Held back or flagged before the student scores, of the dev responses: {shares}."


def _decoding(bundle: Bundle) -> str:
    """Return how outputs become a score, and the meaning of confidence and of sets or intervals."""
    head, error = bundle.head, _calibration_error(bundle)
    if head.interval is not None:
        promise = _promise(head, "The interval about a grade", "is the whole scale")
        return (
            f"{promise}  The confidence is the calibrated probability that a human grade lies within "
            f"{bundle.item.tolerance:g} of the machine's{error}."
        )
    confidence = f"The confidence is the calibrated probability that a rater would give the same score{error}."
    sets = _promise(head, "A prediction set", "holds every score")
    if head.cuts is None:
        return f"The student gives the most probable label.  {confidence}  {sets}"
    cuts = ", ".join(f"{cut:.2f}" for cut in head.cuts)
    rule = f"The expected score becomes a score at the cuts {cuts} (placed for the highest expected QWK)."
    return f"{rule}  {confidence}  {sets}"


def _promise(head: Head, subject: str, otherwise: str) -> str:
    if head.coverage is None:
        return f"{subject} {otherwise}: {head.chosen_on} responses are too few for a narrower promise."
    basis = "" if head.chosen_on is None else f", chosen on {head.chosen_on:,} marked responses"
    return f"{subject} is made to hold {head.coverage:.0%} of human scores{basis}."


def _number(n: int | None) -> str:
    return "the " if n is None else f"{n:,} "


def _calibration_error(bundle: Bundle) -> str:
    evidence = bundle.evidence
    before, after = evidence.ece_uncalibrated, evidence.ece
    if before is None or after is None:
        return ""
    return f" (calibration error {after:.3f} on {_number(evidence.n)}dev responses, uncalibrated {before:.3f})"


def teacher_card(bundle: TeacherBundle) -> str:
    """Return the model card of an exported teacher."""
    provenance = bundle.provenance
    validation = ", ".join(f"{name} {figure:.3f}" for name, figure in bundle.merit.items())
    lines = [
        f"# Teacher {bundle.name}",
        "",
        f"`_teachers/{bundle.name}/{bundle.version}`: {bundle.members} of {provenance.teacher}, {bundle.precision}.  "
        "The service asks this teacher if a student is unsure.",
        "",
        f"On validation: {validation}.",
        "",
        "| item | dev responses | QWK | exact agreement | a score may stand from |",
        "|---|---|---|---|---|",
    ]
    for taught in bundle.items:
        agreement = taught.agreement
        figures = ["-", "-", "-"]
        if agreement is not None:
            figures = [str(agreement.n), _shown(agreement.qwk), _shown(agreement.exact)]
        cells = [taught.item.item_id, *figures, _shown(taught.threshold)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", f"{_origin(provenance, 'Seed')}.", ""])


def _table(student: Agreement | None, teacher: Agreement | None) -> list[str]:
    if student is None:
        return ["Not measured: there were no dev rows."]
    lines = ["| | student | teacher |", "|---|---|---|"]
    for title, name in FIGURES:
        of_student, of_teacher = _figure(student, name), _figure(teacher, name)
        if of_student != "-":
            lines.append(f"| {title} | {of_student} | {of_teacher} |")
    return lines


def _figure(agreement: Agreement | None, name: str) -> str:
    return "-" if agreement is None else _shown(getattr(agreement, name))


def _shown(value: float | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.3f}"
