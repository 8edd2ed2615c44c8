"""Alembic's entry: runs on the connection that `whatsam_api.storage.migrations` hands over."""

from alembic import context

from whatsam_api.storage.migrations import VERSION_TABLE

connection = context.config.attributes["connection"]
context.configure(connection=connection, version_table=VERSION_TABLE, transaction_per_migration=True)
with context.begin_transaction():
    context.run_migrations()
