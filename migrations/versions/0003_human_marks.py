"""What people gave responses."""

import sqlalchemy as sa
from alembic import op

from app.storage.tables import UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "human_marks",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("prediction_id", sa.String(length=36), nullable=False),
        sa.Column("marked_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("key_id", sa.String(length=36), nullable=True),
        sa.Column("reviewer", sa.String(length=200), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("score", sa.Float(), nullable=True),
        sa.Column("label", sa.String(length=200), nullable=True),
        sa.Column("gradebook_score", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(["key_id"], ["api_keys.id"], name=op.f("fk_human_marks_key_id_api_keys")),
        sa.ForeignKeyConstraint(
            ["prediction_id"], ["predictions.prediction_id"], name=op.f("fk_human_marks_prediction_id_predictions")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_human_marks")),
    )
    with op.batch_alter_table("human_marks", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_human_marks_prediction_id_id"), ["prediction_id", "id"])


def downgrade() -> None:
    with op.batch_alter_table("human_marks", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_human_marks_prediction_id_id"))

    op.drop_table("human_marks")
