"""Store the scale of each prediction, and index predictions by attempt."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ATTEMPT = "ix_predictions_attempt_id_item_id_key_id"
NAMED = sa.text("attempt_id IS NOT NULL")


def upgrade() -> None:
    op.add_column("predictions", sa.Column("scale", sa.JSON(none_as_null=True), nullable=True))
    op.drop_index(op.f("ix_predictions_attempt_id"), table_name="predictions")
    columns = ["attempt_id", "item_id", "key_id"]
    op.create_index(op.f(ATTEMPT), "predictions", columns, sqlite_where=NAMED, postgresql_where=NAMED)


def downgrade() -> None:
    op.drop_index(op.f(ATTEMPT), table_name="predictions")
    op.create_index(op.f("ix_predictions_attempt_id"), "predictions", ["attempt_id"])
    op.drop_column("predictions", "scale")
