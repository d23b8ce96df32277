"""What was seen of ACTIVE is told apart by all that it says, the shadow included, not by its time alone."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("seen_activations") as batch_op:
        batch_op.add_column(sa.Column("shadow", sa.String(128), nullable=True))
        batch_op.add_column(sa.Column("shadow_by", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("sha256", sa.String(64), nullable=False, server_default=""))
        batch_op.drop_constraint("uq_seen_activations_item_id_at", type_="unique")
        batch_op.create_unique_constraint("uq_seen_activations_item_id_at_sha256", ["item_id", "at", "sha256"])
    with op.batch_alter_table("seen_activations") as batch_op:
        batch_op.alter_column("sha256", server_default=None)


def downgrade() -> None:
    # Of several that have one time the first is kept: it is what was decided then.
    op.execute(
        "DELETE FROM seen_activations WHERE id NOT IN (SELECT MIN(id) FROM seen_activations GROUP BY item_id, at)"
    )
    with op.batch_alter_table("seen_activations") as batch_op:
        batch_op.drop_constraint("uq_seen_activations_item_id_at_sha256", type_="unique")
        batch_op.create_unique_constraint("uq_seen_activations_item_id_at", ["item_id", "at"])
        batch_op.drop_column("sha256")
        batch_op.drop_column("shadow_by")
        batch_op.drop_column("shadow")
