"""Alembic migrations, one file a change in versions/.  Run by `scorelet db upgrade`."""
