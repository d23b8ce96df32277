"""Hashes from which a learner could be guessed are taken out; predictions are found by the caller's own reference."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("UPDATE idempotency_claims SET body_sha256 = ''")
    op.create_index("ix_predictions_attempt_id", "predictions", ["attempt_id"])


def downgrade() -> None:
    op.drop_index("ix_predictions_attempt_id", "predictions")
