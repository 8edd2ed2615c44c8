"""What each worker did: one row a minute, written by the connectors, for 30 days."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """200 workers write 8.6 million rows in 30 days."""
    op.execute("""
    create table worker_samples (
        namespace text not null,
        pool text not null,
        worker text not null,
        boot text not null,
        at timestamptz not null default now(),
        sessions integer not null,
        cpu integer,
        memory integer
    )""")
    op.execute("create index worker_samples_of_pool on worker_samples (namespace, pool, at)")
    # They come and go in the order of their time.
    op.execute("create index worker_samples_at on worker_samples using brin (at)")


def downgrade() -> None:
    """Forget them."""
    op.execute("drop table worker_samples")
