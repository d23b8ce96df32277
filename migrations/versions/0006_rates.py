"""Keys have a rate, and know which key they replace."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("responses_a_minute", sa.Integer(), nullable=True))
    op.add_column("api_keys", sa.Column("replaces", sa.String(36), nullable=True))


def downgrade() -> None:
    op.drop_column("api_keys", "replaces")
    op.drop_column("api_keys", "responses_a_minute")
