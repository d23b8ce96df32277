"""Prediction sets; scores by teachers, instead of a student's or in the shadow."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("predictions", sa.Column("prediction_set", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("predictions", sa.Column("teacher", sa.String(260), nullable=True))
    op.add_column("predictions", sa.Column("first_score", sa.JSON(none_as_null=True), nullable=True))
    op.create_table(
        "shadow_scores",
        sa.Column("prediction_id", sa.String(36), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("teacher", sa.String(260), nullable=False),
        sa.Column("score", sa.Float(), nullable=True),
        sa.Column("label", sa.String(200), nullable=True),
        sa.Column("expected_score", sa.Float(), nullable=True),
        sa.Column("confidence", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("prediction_id", name="pk_shadow_scores"),
        sa.ForeignKeyConstraint(
            ["prediction_id"], ["predictions.prediction_id"], name="fk_shadow_scores_prediction_id_predictions"
        ),
    )


def downgrade() -> None:
    op.drop_table("shadow_scores")
    op.drop_column("predictions", "first_score")
    op.drop_column("predictions", "teacher")
    op.drop_column("predictions", "prediction_set")
