"""Why a person should look at a score."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("predictions", sa.Column("flags", sa.JSON(none_as_null=True), nullable=True))


def downgrade() -> None:
    op.drop_column("predictions", "flags")
