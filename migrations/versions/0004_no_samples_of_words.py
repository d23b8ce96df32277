"""Keep learners' words out of PostgreSQL's statistics.

ANALYZE stores sampled values of columns for the planner.  Erasing a learner does not reach them if a table becomes
empty, because ANALYZE then keeps the old samples.  Queries use these columns through a unique index only.
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
    _set_statistics(0)


def downgrade() -> None:
    _set_statistics(-1)


def _set_statistics(target: int) -> None:
    if op.get_bind().dialect.name == "postgresql":
        for table, column in COLUMNS:
            op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET STATISTICS {target}")
