"""Store the format of each response.  Earlier responses were plain text."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    column = sa.Column("response_format", sa.String(length=10), server_default="text", nullable=False)
    op.add_column("predictions", column)


def downgrade() -> None:
    op.drop_column("predictions", "response_format")
