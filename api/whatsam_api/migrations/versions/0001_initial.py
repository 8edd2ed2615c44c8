"""Users, refresh tokens, API keys and messages."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

UPGRADE = (
    """
    create table users (
        id uuid primary key,
        email text not null,
        name text not null,
        password_hash text not null,
        tier text not null check (tier in ('BASIC', 'PRO', 'MAX')),
        role text not null check (role in ('USER', 'ADMIN')),
        tenant text not null unique,
        active boolean not null default true,
        created_at timestamptz not null default now()
    )
    """,
    """
    create unique index users_email on users (lower(email))
    """,
    """
    create table refresh_tokens (
        token_hash bytea primary key,
        user_id uuid not null references users (id) on delete cascade,
        expires_at timestamptz not null,
        created_at timestamptz not null default now()
    )
    """,
    """
    create index refresh_tokens_user on refresh_tokens (user_id)
    """,
    """
    create table api_keys (
        id uuid primary key,
        tenant text not null,
        session text not null,
        name text not null,
        prefix text not null,
        key_hash bytea not null unique,
        scopes text[] not null,
        expires_at timestamptz,
        last_used_at timestamptz,
        created_at timestamptz not null default now()
    )
    """,
    """
    create index api_keys_session on api_keys (session)
    """,
    """
    create table messages (
        id uuid primary key,
        session text not null,
        tenant text not null,
        session_uid uuid,
        seq bigint generated always as identity,
        direction text not null check (direction in ('out', 'in')),
        chat text not null,
        sender text,
        wa_id text,
        type text not null default 'text',
        body jsonb not null,
        status text not null check (
            status in ('pending', 'sending', 'uncertain', 'sent', 'delivered', 'read', 'failed', 'received')),
        error text,
        attempts integer not null default 0,
        epoch bigint,
        boot text,
        idempotency_key text,
        "timestamp" timestamptz,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now()
    )
    """,
    """
    create index messages_order on messages (session, seq)
    """,
    """
    create index messages_open on messages (session, seq) where status in ('pending', 'sending', 'uncertain')
    """,
    """
    create unique index messages_once on messages (session, direction, wa_id, chat) where wa_id is not null
    """,
    """
    create unique index messages_idempotent on messages (session, idempotency_key) where idempotency_key is not null
    """,
    """
    create function messages_wake() returns trigger language plpgsql as $$
    begin
        perform pg_notify('whatsam_messages', new.session);
        return null;
    end $$
    """,
    """
    create trigger messages_wake after insert on messages for each row
        when (new.direction = 'out') execute function messages_wake()
    """,
)

DOWNGRADE = (
    "drop table messages",
    "drop function messages_wake()",
    "drop table api_keys",
    "drop table refresh_tokens",
    "drop table users",
)


def upgrade() -> None:
    """Create everything."""
    for statement in UPGRADE:
        op.execute(statement)


def downgrade() -> None:
    """Drop everything."""
    for statement in DOWNGRADE:
        op.execute(statement)
