"""The report on one live item: its figures, as the HTML page shows them and the JSON file holds them."""

from pydantic import BaseModel, ConfigDict, Field

from app.scoring.agreement import Agreement
from app.scoring.evidence import Evidence
from app.scoring.gate import Gate
from app.scoring.live_version import Fallback, Mode
from training.evaluation.fairness import Fairness


class ReportModel(BaseModel):
    """A frozen part of the report."""

    model_config = ConfigDict(frozen=True)


class Band(ReportModel):
    """Responses of similar length."""

    words: tuple[int, int]
    n: int
    mean_difference: float = Field(description="Mean of machine less human, in units of the scale.")
    agreement: Agreement | None


class Disagreement(ReportModel):
    """A response with machine and human scores that differ."""

    id: str
    human: str
    machine: str
    confidence: float
    response: str | None = Field(description="The response, if texts were requested.")


class ItemReport(ReportModel):
    """The figures of one live item."""

    item_id: str
    title: str | None
    bundle_version: str
    mode: Mode
    overruled: str | None = Field(
        description="The person who set mode auto although the gate refused at release, with the reason."
    )
    fallback: Fallback | None
    threshold: float | None
    coverage_promised: float | None = Field(
        description="Share of human scores that prediction sets or intervals promise to hold; None with too few rows."
    )
    chosen_on: int | None = Field(
        description="Rows of train that calibration, sets, cuts and threshold were chosen on; None if not recorded."
    )
    responses: int
    not_scorable: int
    automatic: int = Field(description="Scores that stood without a person in the item's present mode.")
    by_teacher: int
    by_rule: int = Field(description="Blank responses and refusals given the worst score; no other figure counts them.")
    flagged: dict[str, float]
    agreement: Agreement | None
    intervals: dict[str, tuple[float, float]] = Field(description="95 % bootstrap intervals over responses.")
    sd_ratio: float | None
    prmse: float | None = Field(description="PRMSE, if two raters scored enough responses (MIN_PAIRS).")
    degradation: float | None = Field(
        description="Agreement of the raters less agreement with the machine: QWK, or exact agreement of labels."
    )
    evidence: Evidence
    gate: Gate = Field(description="The gate of the item's policy on these responses.")
    scores: tuple[str, ...] = Field(description="Scores of the confusion matrix.")
    confusion: tuple[tuple[int, ...], ...] = Field(description="Human scores by row, machine scores by column.")
    calibration: list[tuple[float, float, int]] = Field(
        description="Bins of confidence: its mean, the share of scores equal to the human ones, responses."
    )
    coverage_curve: list[tuple[float, float]] = Field(
        description="Share accepted, the surest first, and the agreement of accepted scores: QWK, or exact agreement."
    )
    bands: list[Band]
    length_correlation: float | None = Field(description="Correlation of length in words with machine less human.")
    fairness: dict[str, Fairness]
    learning_curve: list[tuple[int, float]] = Field(
        description="Marked rows and agreement on dev, from training; empty if no learning curve was requested."
    )
    worst: list[Disagreement]
