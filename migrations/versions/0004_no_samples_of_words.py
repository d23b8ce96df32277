"""No samples of learners' words in PostgreSQL's own statistics.

ANALYZE keeps values of a column for the planner, in a table that erasing a learner does not reach: where a table is
empty afterwards, ANALYZE leaves the old samples.  Queries use these columns through a unique index only.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

COLUMNS = (
    ("predictions", "response"),
    ("human_marks", "reason"),
    ("idempotency_claims", "idempotency_key"),
    ("idempotency_claims", "body_sha256"),
)


def upgrade() -> None:
    _set(0)


def downgrade() -> None:
    _set(-1)


def _set(target: int) -> None:
    if op.get_bind().dialect.name == "postgresql":
        for table, column in COLUMNS:
            op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET STATISTICS {target}")
