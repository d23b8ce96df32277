"""The rows of one learner: found by the pseudonym, exported whole, or erased but for the figures.

Erasing takes away every word of a learner and all that tells whose a row is.  Scores, confidences and marks stay, for
agreement to be measured on, under prediction ids that name nobody.
"""

import hashlib
import hmac
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Select, delete, exists, func, insert, or_, select, update

from app.storage.database import transaction
from app.storage.tables import (
    Base,
    GeneratedFeedback,
    HumanMark,
    IdempotencyClaim,
    LoggedPrediction,
    ShadowScore,
    ShadowVersion,
)

# Columns that erasing empties.  A claim is deleted whole: its key is the caller's own, its hash is one of the response.
ERASED: dict[type[Base], tuple[str, ...]] = {
    LoggedPrediction: ("response", "learner_hash", "attempt_id"),
    HumanMark: ("reason",),
    GeneratedFeedback: ("feedback",),
}
DELETED: tuple[type[Base], ...] = (IdempotencyClaim,)
BESIDE: tuple[type[Base], ...] = (HumanMark, GeneratedFeedback, ShadowScore, ShadowVersion)
NOTHING_WRITTEN = "erased"  # why there is no feedback, for whoever asks later


def pseudonym(learner_key: str, learner_id: str) -> str:
    """Return HMAC-SHA-256 of a learner's id under the installation's key: a plain hash can be guessed."""
    return hmac.new(learner_key.encode(), learner_id.encode(), hashlib.sha256).hexdigest()


def erase(engine: Engine, learner_hash: str) -> dict[str, int]:
    """Erase a learner's words and pseudonym in one transaction; return how many rows of each table had any.

    Feedback that is still being written is refused when it comes: its row is there already.
    """
    with transaction(engine) as connection:
        claims = _holds_a_result(connection, learner_hash)
        return _erase(connection, LoggedPrediction.learner_hash == learner_hash, claims)


def expire(engine: Engine, before: datetime) -> dict[str, int]:
    """Erase the words and pseudonyms of all learners in rows made before a time, as `erase` does."""
    with transaction(engine) as connection:
        return _erase(connection, LoggedPrediction.created_at < before, IdempotencyClaim.created_at < before)


def rows_of(engine: Engine, learner_hash: str) -> dict[str, list[dict[str, Any]]]:
    """Return every row of a learner by table, with all columns.  Of a claim only the learner's own results."""
    with engine.connect() as connection:
        found = LoggedPrediction.learner_hash == learner_hash
        tables = {LoggedPrediction.__tablename__: _read(connection, LoggedPrediction, found)}
        for table in BESIDE:
            of_learner = table.__table__.c.prediction_id.in_(_of(learner_hash))
            tables[table.__tablename__] = _read(connection, table, of_learner)
        ids = {row["prediction_id"] for row in tables[LoggedPrediction.__tablename__]}
        claims = _read(connection, IdempotencyClaim, _holds_a_result(connection, learner_hash))
    for claim in claims:
        claim["results"] = [result for result in claim["results"] if result.get("prediction_id") in ids]
    return tables | {IdempotencyClaim.__tablename__: claims}


def _erase(connection: Connection, found: ColumnElement[bool], claims: ColumnElement[bool]) -> dict[str, int]:
    ids = select(LoggedPrediction.prediction_id).where(found)
    connection.execute(ids.with_for_update())
    _refuse_pending_feedback(connection, ids)
    counts = {IdempotencyClaim.__tablename__: connection.execute(delete(IdempotencyClaim).where(claims)).rowcount}
    for table in (GeneratedFeedback, HumanMark):  # before the predictions, by which they are found
        counts[table.__tablename__] = _empty(connection, table, table.prediction_id.in_(ids))
    counts[LoggedPrediction.__tablename__] = _empty(connection, LoggedPrediction, found)
    return dict(sorted(counts.items()))


def _of(learner_hash: str) -> Select[str]:
    return select(LoggedPrediction.prediction_id).where(LoggedPrediction.learner_hash == learner_hash)


def _empty(connection: Connection, table: type[Base], where: ColumnElement[bool]) -> int:
    columns = ERASED[table]
    values: dict[str, object] = dict.fromkeys(columns)
    if table is GeneratedFeedback:
        values["feedback_withheld"] = NOTHING_WRITTEN
    has_any = or_(*(table.__table__.c[name].is_not(None) for name in columns))
    return connection.execute(update(table).where(where, has_any).values(values)).rowcount


def _refuse_pending_feedback(connection: Connection, ids: Select[str]) -> None:
    known = exists().where(GeneratedFeedback.prediction_id == LoggedPrediction.prediction_id)
    pending = ids.where(LoggedPrediction.feedback_withheld == "pending", ~known)
    row = {
        "created_at": datetime.now(UTC),
        "feedback_withheld": NOTHING_WRITTEN,
        "model": "-",
        "tokens": 0,
        "seconds": 0.0,
    }
    rows = [{"prediction_id": prediction_id} | row for prediction_id in connection.scalars(pending)]
    if rows:
        connection.execute(insert(GeneratedFeedback), rows)


def _holds_a_result(connection: Connection, learner_hash: str) -> ColumnElement[bool]:
    """Of claims: whether a kept result is that of one of the learner's predictions."""
    if connection.dialect.name == "sqlite":
        results = func.json_each(IdempotencyClaim.results).table_valued("value")
        prediction_id = func.json_extract(results.c.value, "$.prediction_id")
    else:
        results = func.json_array_elements(IdempotencyClaim.results).table_valued("value")
        prediction_id = func.json_extract_path_text(results.c.value, "prediction_id")
    # The learner's predictions are looked up once, not once a claim.
    of_learner = prediction_id.in_(_of(learner_hash))
    return exists(select(1).select_from(results).where(of_learner).correlate(IdempotencyClaim))


def _read(connection: Connection, table: type[Base], where: ColumnElement[bool]) -> list[dict[str, Any]]:
    made = Base.metadata.tables[table.__tablename__]
    query = select(*made.columns).where(where).order_by(*made.primary_key)
    return [dict(row) for row in connection.execute(query).mappings()]
