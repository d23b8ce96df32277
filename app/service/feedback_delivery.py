"""Write generated feedback to the database."""

from datetime import UTC, datetime

from anyio import to_thread
from sqlalchemy import Engine

from app.service.feedback.writer import Deliver, Outcome, Task
from app.service.prediction import Feedback, feedback_of
from app.storage.queries import add_feedback
from app.storage.tables import GeneratedFeedback


def deliver_to(engine: Engine) -> Deliver:
    """Return a function that writes the outcome of a feedback task to the database."""

    async def deliver(task: Task, outcome: Outcome) -> None:
        feedback = feedback_of(task, outcome)
        is_text = isinstance(feedback, Feedback)
        row = GeneratedFeedback(
            prediction_id=task.prediction_id,
            created_at=datetime.now(UTC),
            feedback=feedback.model_dump() if isinstance(feedback, Feedback) else None,
            feedback_withheld=None if is_text else feedback,
            model=outcome.model,
            tokens=outcome.tokens,
            seconds=outcome.seconds,
        )
        await to_thread.run_sync(add_feedback, engine, row)

    return deliver
