"""Create all tables of 0.1.0."""

import sqlalchemy as sa
from alembic import op

from app.storage.tables import UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("scopes", sa.String(length=100), nullable=False),
        sa.Column("created_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("expires_at", UtcDateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", UtcDateTime(timezone=True), nullable=True),
        sa.Column("responses_a_minute", sa.Integer(), nullable=True),
        sa.Column("replaces", sa.String(length=36), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("sha256", name=op.f("uq_api_keys_sha256")),
    )
    op.create_table(
        "idempotency_claims",
        sa.Column("caller", sa.String(length=36), nullable=False),
        sa.Column("idempotency_key", sa.String(length=255), nullable=False),
        sa.Column("body_sha256", sa.String(length=64), nullable=False),
        sa.Column("results", sa.JSON(), nullable=False),
        sa.Column("created_at", UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("caller", "idempotency_key", name=op.f("pk_idempotency_claims")),
    )
    op.create_table(
        "seen_activations",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("item_id", sa.String(length=140), nullable=False),
        sa.Column("version", sa.String(length=128), nullable=False),
        sa.Column("mode", sa.String(length=20), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("seen_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("shadow", sa.String(length=128), nullable=True),
        sa.Column("shadow_by", sa.Text(), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_seen_activations")),
        sa.UniqueConstraint("item_id", "at", "sha256", name=op.f("uq_seen_activations_item_id_at_sha256")),
    )
    op.create_table(
        "predictions",
        sa.Column("prediction_id", sa.String(length=36), nullable=False),
        sa.Column("created_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("key_id", sa.String(length=36), nullable=True),
        sa.Column("item_id", sa.String(length=128), nullable=False),
        sa.Column("bundle_version", sa.String(length=128), nullable=False),
        sa.Column("scored_by", sa.String(length=20), nullable=False),
        sa.Column("score", sa.Float(), nullable=True),
        sa.Column("label", sa.String(length=200), nullable=True),
        sa.Column("expected_score", sa.Float(), nullable=True),
        sa.Column("max_score", sa.Float(), nullable=True),
        sa.Column("gradebook_max", sa.Float(), nullable=True),
        sa.Column("gradebook_score", sa.Float(), nullable=True),
        sa.Column("probabilities", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("interval", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("prediction_set", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("confidence", sa.Float(), nullable=True),
        sa.Column("decision", sa.String(length=20), nullable=False),
        sa.Column("condition", sa.String(length=40), nullable=True),
        sa.Column("flags", sa.JSON(), nullable=False),
        sa.Column("teacher", sa.String(length=260), nullable=True),
        sa.Column("first_score", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("feedback", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("feedback_withheld", sa.String(length=40), nullable=True),
        sa.Column("response", sa.Text(), nullable=True),
        sa.Column("learner_hash", sa.String(length=64), nullable=True),
        sa.Column("attempt_id", sa.String(length=200), nullable=True),
        sa.ForeignKeyConstraint(["key_id"], ["api_keys.id"], name=op.f("fk_predictions_key_id_api_keys")),
        sa.PrimaryKeyConstraint("prediction_id", name=op.f("pk_predictions")),
    )
    op.create_index(op.f("ix_predictions_attempt_id"), "predictions", ["attempt_id"])
    op.create_index(op.f("ix_predictions_item_id_prediction_id"), "predictions", ["item_id", "prediction_id"])
    op.create_index(op.f("ix_predictions_key_id"), "predictions", ["key_id"])
    op.create_index(op.f("ix_predictions_learner_hash"), "predictions", ["learner_hash"])
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
    op.create_table(
        "human_marks",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("prediction_id", sa.String(length=36), nullable=False),
        sa.Column("marked_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("key_id", sa.String(length=36), nullable=True),
        sa.Column("reviewer", sa.String(length=200), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("score", sa.Float(), nullable=True),
        sa.Column("label", sa.String(length=200), nullable=True),
        sa.Column("gradebook_score", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(["key_id"], ["api_keys.id"], name=op.f("fk_human_marks_key_id_api_keys")),
        sa.ForeignKeyConstraint(
            ["prediction_id"], ["predictions.prediction_id"], name=op.f("fk_human_marks_prediction_id_predictions")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_human_marks")),
    )
    op.create_index(op.f("ix_human_marks_prediction_id_id"), "human_marks", ["prediction_id", "id"])
    op.create_table(
        "shadow_scores",
        sa.Column("prediction_id", sa.String(length=36), nullable=False),
        sa.Column("created_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("teacher", sa.String(length=260), nullable=False),
        sa.Column("score", sa.Float(), nullable=True),
        sa.Column("label", sa.String(length=200), nullable=True),
        sa.Column("expected_score", sa.Float(), nullable=True),
        sa.Column("confidence", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["prediction_id"], ["predictions.prediction_id"], name=op.f("fk_shadow_scores_prediction_id_predictions")
        ),
        sa.PrimaryKeyConstraint("prediction_id", name=op.f("pk_shadow_scores")),
    )
    op.create_table(
        "shadow_versions",
        sa.Column("prediction_id", sa.String(length=36), nullable=False),
        sa.Column("version", sa.String(length=128), nullable=False),
        sa.Column("created_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("score", sa.Float(), nullable=True),
        sa.Column("label", sa.String(length=200), nullable=True),
        sa.Column("expected_score", sa.Float(), nullable=True),
        sa.Column("confidence", sa.Float(), nullable=True),
        sa.Column("decision", sa.String(length=20), nullable=False),
        sa.ForeignKeyConstraint(
            ["prediction_id"], ["predictions.prediction_id"], name=op.f("fk_shadow_versions_prediction_id_predictions")
        ),
        sa.PrimaryKeyConstraint("prediction_id", "version", name=op.f("pk_shadow_versions")),
    )


def downgrade() -> None:
    op.drop_table("shadow_versions")
    op.drop_table("shadow_scores")
    op.drop_index(op.f("ix_human_marks_prediction_id_id"), table_name="human_marks")
    op.drop_table("human_marks")
    op.drop_table("generated_feedback")
    op.drop_index(op.f("ix_predictions_learner_hash"), table_name="predictions")
    op.drop_index(op.f("ix_predictions_key_id"), table_name="predictions")
    op.drop_index(op.f("ix_predictions_item_id_prediction_id"), table_name="predictions")
    op.drop_index(op.f("ix_predictions_attempt_id"), table_name="predictions")
    op.drop_table("predictions")
    op.drop_table("seen_activations")
    op.drop_table("idempotency_claims")
    op.drop_table("api_keys")
