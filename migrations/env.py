"""Run migrations on the connection of app.storage.database, the only place that knows the URL."""

from alembic import context

from app.storage.tables import Base

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    render_as_batch=connection.dialect.name == "sqlite",  # SQLite alters most columns by recreating the table
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
