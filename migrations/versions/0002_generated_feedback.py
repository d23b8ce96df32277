"""Feedback that a language model writes after the reply."""

import sqlalchemy as sa
from alembic import op

from app.storage.tables import UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("seen_activations", schema=None) as batch_op:  # `_feedback/` and a name
        batch_op.alter_column("item_id", type_=sa.String(length=140), existing_type=sa.String(length=128))
    op.create_table(
        "generated_feedback",
        sa.Column("prediction_id", sa.String(length=36), nullable=False),
        sa.Column("created_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("feedback", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("feedback_withheld", sa.String(length=40), nullable=True),
        sa.Column("model", sa.String(length=260), nullable=False),
        sa.Column("tokens", sa.Integer(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["prediction_id"],
            ["predictions.prediction_id"],
            name=op.f("fk_generated_feedback_prediction_id_predictions"),
        ),
        sa.PrimaryKeyConstraint("prediction_id", name=op.f("pk_generated_feedback")),
    )


def downgrade() -> None:
    op.drop_table("generated_feedback")
    with op.batch_alter_table("seen_activations", schema=None) as batch_op:
        batch_op.alter_column("item_id", type_=sa.String(length=128), existing_type=sa.String(length=140))
