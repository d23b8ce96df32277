"""Find a learner's rows by the pseudonym; export or erase them.

Erasing removes every text of a learner and all columns that identify the learner.  Scores, confidences and marks stay
under anonymous prediction ids, so that agreement can still be measured.
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

# Columns that erasing empties.  A claim is deleted: the caller chose its key, and its hash is made from the response.
ERASED: dict[type[Base], tuple[str, ...]] = {
    LoggedPrediction: ("response", "learner_hash", "attempt_id"),
    HumanMark: ("reason",),
    GeneratedFeedback: ("feedback",),
}
DELETED: tuple[type[Base], ...] = (IdempotencyClaim,)
WITH_PREDICTION: tuple[type[Base], ...] = (HumanMark, GeneratedFeedback, ShadowScore, ShadowVersion)
FEEDBACK_ERASED = "erased"  # the reason for absent feedback


def pseudonym(learner_key: str, learner_id: str) -> str:
    """Return HMAC-SHA-256 of a learner's id under the installation's key; a plain hash could be guessed."""
    return hmac.new(learner_key.encode(), learner_id.encode(), hashlib.sha256).hexdigest()


def erase(engine: Engine, learner_hash: str) -> dict[str, int]:
    """Erase a learner's texts and pseudonym in one transaction; return the number of erased rows by table.

    Feedback that a model is still writing is discarded later: its row exists already.
    """
    with transaction(engine) as connection:
        claims = _holds_a_result(connection, learner_hash)
        return _erase(connection, LoggedPrediction.learner_hash == learner_hash, claims)


def expire(engine: Engine, before: datetime) -> dict[str, int]:
    """Erase the texts and pseudonyms of all learners in rows created before a time."""
    with transaction(engine) as connection:
        return _erase(connection, LoggedPrediction.created_at < before, IdempotencyClaim.created_at < before)


def rows_of(engine: Engine, learner_hash: str) -> dict[str, list[dict[str, Any]]]:
    """Return every row of a learner by table, with all columns.  A claim keeps the learner's results only."""
    with engine.connect() as connection:
        matches = LoggedPrediction.learner_hash == learner_hash
        tables = {LoggedPrediction.__tablename__: _read(connection, LoggedPrediction, matches)}
        for table in WITH_PREDICTION:
            of_learner = table.__table__.c.prediction_id.in_(_of(learner_hash))
            tables[table.__tablename__] = _read(connection, table, of_learner)
        ids = {row["prediction_id"] for row in tables[LoggedPrediction.__tablename__]}
        claims = _read(connection, IdempotencyClaim, _holds_a_result(connection, learner_hash))
    for claim in claims:
        claim["results"] = [result for result in claim["results"] if result.get("prediction_id") in ids]
    return tables | {IdempotencyClaim.__tablename__: claims}


def _erase(connection: Connection, matches: ColumnElement[bool], claims: ColumnElement[bool]) -> dict[str, int]:
    ids = select(LoggedPrediction.prediction_id).where(matches)
    connection.execute(ids.with_for_update())
    _refuse_pending_feedback(connection, ids)
    counts = {IdempotencyClaim.__tablename__: connection.execute(delete(IdempotencyClaim).where(claims)).rowcount}
    for table in (GeneratedFeedback, HumanMark):  # before the predictions, which identify their rows
        counts[table.__tablename__] = _empty(connection, table, table.prediction_id.in_(ids))
    counts[LoggedPrediction.__tablename__] = _empty(connection, LoggedPrediction, matches)
    return dict(sorted(counts.items()))


def _of(learner_hash: str) -> Select[str]:
    return select(LoggedPrediction.prediction_id).where(LoggedPrediction.learner_hash == learner_hash)


def _empty(connection: Connection, table: type[Base], where: ColumnElement[bool]) -> int:
    names = ERASED[table]
    values: dict[str, object] = dict.fromkeys(names)
    if table is GeneratedFeedback:
        values["feedback_withheld"] = FEEDBACK_ERASED
    columns = [table.__table__.c[name] for name in names]
    is_filled = or_(*[column.is_not(None) for column in columns])
    statement = update(table).where(where, is_filled).values(values)
    return connection.execute(statement).rowcount


def _refuse_pending_feedback(connection: Connection, ids: Select[str]) -> None:
    has_feedback = exists().where(GeneratedFeedback.prediction_id == LoggedPrediction.prediction_id)
    pending = ids.where(LoggedPrediction.feedback_withheld == "pending", ~has_feedback)
    row = {
        "created_at": datetime.now(UTC),
        "feedback_withheld": FEEDBACK_ERASED,
        "model": "-",
        "tokens": 0,
        "seconds": 0.0,
    }
    rows = [{"prediction_id": prediction_id} | row for prediction_id in connection.scalars(pending)]
    if rows:
        connection.execute(insert(GeneratedFeedback), rows)


def _holds_a_result(connection: Connection, learner_hash: str) -> ColumnElement[bool]:
    """Return a condition on claims: a stored result belongs to a prediction of the learner."""
    if connection.dialect.name == "sqlite":
        results = func.json_each(IdempotencyClaim.results).table_valued("value")
        prediction_id = func.json_extract(results.c.value, "$.prediction_id")
    else:
        results = func.json_array_elements(IdempotencyClaim.results).table_valued("value")
        prediction_id = func.json_extract_path_text(results.c.value, "prediction_id")
    # The subquery of the learner's predictions runs once, not once a claim.
    of_learner = prediction_id.in_(_of(learner_hash))
    matching = select(1).select_from(results).where(of_learner)
    return exists(matching.correlate(IdempotencyClaim))


def _read(connection: Connection, table: type[Base], where: ColumnElement[bool]) -> list[dict[str, Any]]:
    core_table = Base.metadata.tables[table.__tablename__]
    query = select(*core_table.columns).where(where).order_by(*core_table.primary_key)
    return [dict(row) for row in connection.execute(query).mappings()]
