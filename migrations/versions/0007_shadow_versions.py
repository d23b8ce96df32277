"""What another version of a bundle would have given, in the shadow of the live one."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "shadow_versions",
        sa.Column("prediction_id", sa.String(36), nullable=False),
        sa.Column("version", sa.String(128), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("score", sa.Float(), nullable=True),
        sa.Column("label", sa.String(200), nullable=True),
        sa.Column("expected_score", sa.Float(), nullable=True),
        sa.Column("confidence", sa.Float(), nullable=True),
        sa.Column("decision", sa.String(20), nullable=False),
        sa.PrimaryKeyConstraint("prediction_id", "version", name="pk_shadow_versions"),
        sa.ForeignKeyConstraint(
            ["prediction_id"], ["predictions.prediction_id"], name="fk_shadow_versions_prediction_id_predictions"
        ),
    )


def downgrade() -> None:
    op.drop_table("shadow_versions")
