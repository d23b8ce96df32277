from training.feedback.figures import COLUMNS, FeedbackFigures, table
from training.feedback.measures import Likeness


def test_undefined_figures_are_shown_as_undefined() -> None:
    likeness = Likeness(
        bleu=None, chrf=41.25, rouge_1=0.5, rouge_2=None, rouge_l=0.25, similarity=0.75, signature="BLEU of none"
    )
    figures = FeedbackFigures("generated", 2, likeness, 0, None, 0.5, {})

    [[title, *cells]] = table([figures], telling=False)

    assert title == "generated"
    assert dict(zip((*COLUMNS, "verdict"), cells, strict=True)) == {
        "BLEU": "undefined",
        "chrF": "41.2",
        "ROUGE-1": "0.500",
        "ROUGE-2": "undefined",
        "ROUGE-L": "0.250",
        "similarity": "0.750",
        "verdict": "50.0%",
    }
    assert table([figures], telling=True) == []
    assert figures.as_dict() == {
        "rows": 2, "verdict_agreement": 0.5, "bleu": None, "chrf": 41.25, "rouge_1": 0.5, "rouge_2": None,
        "rouge_l": 0.25, "similarity": 0.75, "signature": "BLEU of none",
    }  # fmt: skip
