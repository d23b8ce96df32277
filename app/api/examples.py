"""Examples of every body for the OpenAPI document.  A test validates each against its schema."""

from pydantic import BaseModel, JsonValue

from app.api.item_schemas import ItemReply, ItemsReply
from app.api.problems import PROBLEM_EXAMPLE
from app.api.schemas import (
    BatchReply,
    BatchRequest,
    Liveness,
    LoggedReply,
    LogPage,
    Readiness,
    ReviewRequest,
    ScoreReply,
    ScoreRequest,
)

REQUEST_EXAMPLE: dict[str, JsonValue] = {
    "item_id": "demo-drying-towel",
    "response": (
        "It is warm so the water evaporates quicker. The wind takes the damp air away and lets in dry air. "
        "The towel on the line is spread out so more surface touches the air."
    ),
    "attempt_id": "quiz-7/attempt-2",
    "gradebook_max": 10,
    "feedback": True,
}
MISNAMED_EXAMPLE: dict[str, JsonValue] = {"item_id": "asap-99", "response": "The warm wind dries the towel."}
REPLY_EXAMPLE: dict[str, JsonValue] = {
    "prediction_id": "0197a3c2-5e1b-7c44-9a57-3d1f6f0f2b11",
    "item_id": "demo-drying-towel",
    "bundle_version": "20261122T070951Z-06150627",
    "scored_by": "student",
    "teacher": None,
    "first_score": None,
    "score": 3,
    "label": None,
    "expected_score": 2.84,
    "max_score": 3,
    "gradebook_score": 10.0,
    "probabilities": [0.0, 0.01, 0.15, 0.84],
    "interval": None,
    "prediction_set": [3],
    "confidence": 0.88,
    "decision": "auto",
    "condition": None,
    "flags": [],
    "feedback": {
        "text": "You explain all three: what warmth does, what wind does, and why being spread out helps.",
        "source": "bank",
        "version": "20261122T070951Z-06150627",
        "instead_because": None,
    },
    "feedback_withheld": None,
    "grading_progress": "FullyGraded",
}

LOGGED_EXAMPLE: dict[str, JsonValue] = REPLY_EXAMPLE | {
    "created_at": "2026-11-22T09:30:12.345678Z",
    "response": REQUEST_EXAMPLE["response"],
    "response_format": "html",
    "attempt_id": REQUEST_EXAMPLE["attempt_id"],
    "learner_hash": None,
    "gradebook_max": 10,
    "scale": {"scale": "points", "min_score": None, "max_score": 3, "labels": None, "better": "higher"},
    "human_marks": [
        {
            "score": 2,
            "label": None,
            "gradebook_score": 6.666666666666667,
            "reviewer": "A. Teacher",
            "reason": "The third reason is missing.",
            "marked_at": "2026-11-22T10:02:41.120391Z",
        }
    ],
    "final": {
        "by": "human",
        "score": 2,
        "label": None,
        "gradebook_score": 6.666666666666667,
        "prediction_id": "0197a3c2-5e1b-7c44-9a57-3d1f6f0f2b11",
    },
    "grading_progress": "FullyGraded",
}
REVIEW_EXAMPLE: dict[str, JsonValue] = {
    "score": 2,
    "reviewer": "A. Teacher",
    "reason": "The third reason is missing.",
}
ITEM_EXAMPLE: dict[str, JsonValue] = {
    "item_id": "demo-drying-towel",
    "title": "The drying towel (synthetic demo)",
    "prompt": "Sami hangs his wet towel, spread out, on a washing line in the garden. The day is warm and "
    "windy. His sister leaves the same kind of wet towel in a heap on the floor of a cool shed. "
    "Explain why Sami's towel dries first. Give three reasons.",
    "scale": "points",
    "min_score": None,
    "max_score": 3,
    "labels": None,
    "better": "higher",
    "format": "html",
    "bundle_version": "20261122T070951Z-06150627",
    "mode": "auto",
    "released_by": "the scorelet maintainers",
    "released_at": "2026-11-22T07:10:00Z",
    "release_reason": "a demonstration on synthetic responses",
    "gate": {
        "passed": False,
        "checks": [
            {"rule": "marked responses", "measured": 147.0, "limit": 100.0, "passed": True, "note": ""},
            {"rule": "QWK", "measured": 0.7992, "limit": 0.7, "passed": True, "note": ""},
            {"rule": "QWK below raters'", "measured": 0.1645, "limit": 0.1, "passed": False, "note": ""},
            {"rule": "standardised mean difference", "measured": 0.083, "limit": 0.15, "passed": True, "note": ""},
            {"rule": "difference of groups", "measured": 0.0653, "limit": 0.1, "passed": True, "note": ""},
            {"rule": "worst recall", "measured": 0.675, "limit": 0.3, "passed": True, "note": ""},
            {"rule": "calibration error", "measured": 0.09, "limit": 0.1, "passed": True, "note": ""},
            {"rule": "junk accepted", "measured": 0.0, "limit": 0.05, "passed": True, "note": ""},
            {"rule": "over-long responses", "measured": 0.0, "limit": 0.05, "passed": True, "note": ""},
            {"rule": "threshold", "measured": 0.8392, "limit": None, "passed": True, "note": ""},
        ],
    },
    "fallback": None,
    "blank_is_worst": None,
    "overridden": True,
    "threshold": 0.839,
    "agreement": {
        "n": 147,
        "exact": 0.714,
        "adjacent": 0.959,
        "qwk": 0.799,
        "smd": 0.083,
        "macro_f1": 0.72,
        "rmse": None,
        "mae": None,
        "pearson": None,
        "coverage": None,
        "human_qwk": 0.964,
        "human_exact": 0.918,
        "human_rmse": None,
        "human_n": 147,
    },
    "feedback": "bank",
    "coverage": 0.9,
    "chosen_on": 1319,
    "parameters": 23380,
}

EXAMPLES: dict[type[BaseModel], JsonValue] = {
    ScoreRequest: REQUEST_EXAMPLE,
    ScoreReply: REPLY_EXAMPLE,
    BatchRequest: {"responses": [REQUEST_EXAMPLE, MISNAMED_EXAMPLE]},
    BatchReply: {"results": [REPLY_EXAMPLE, PROBLEM_EXAMPLE]},
    ReviewRequest: REVIEW_EXAMPLE,
    LoggedReply: LOGGED_EXAMPLE,
    LogPage: {"predictions": [LOGGED_EXAMPLE], "next": None},
    ItemReply: ITEM_EXAMPLE,
    ItemsReply: {"items": [ITEM_EXAMPLE]},
    Liveness: {"status": "alive"},
    Readiness: {
        "status": "ready",
        "open": False,
        "database": "ok",
        "database_code": None,
        "items": ["demo-drying-towel"],
        "refused": {},
        "not_taken_up": {},
        "without_teacher": {},
        "without_shadow": {},
        "feedback_models": [],
        "refused_feedback_models": {},
    },
}
