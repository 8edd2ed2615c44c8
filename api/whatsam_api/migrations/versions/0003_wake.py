"""Rows no longer announce themselves: the API calls the holder, and notifies only when it cannot.

A notification with each row cost PostgreSQL as much as the row, and made commits wait for each other.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_OPENED = """
    create or replace function message_opened() returns trigger language plpgsql as $$
    begin
        insert into open_messages (session, seq, id, at) values (new.session, new.seq, new.id, new.at)
            on conflict do nothing;
        {wake}return null;
    end $$
"""


def upgrade() -> None:
    """List what is open, and say nothing."""
    op.execute(_OPENED.format(wake=""))


def downgrade() -> None:
    """Say it again."""
    op.execute(_OPENED.format(wake="perform pg_notify('whatsam_messages', new.session);\n        "))
