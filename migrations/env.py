"""Alembic's entry.  The connection comes from app.storage.database: there is one place that knows the URL."""

from alembic import context

from app.storage.tables import Base

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    render_as_batch=connection.dialect.name == "sqlite",  # SQLite cannot alter most columns in place
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
