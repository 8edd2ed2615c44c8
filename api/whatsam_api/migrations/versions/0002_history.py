"""Messages by month, and what else the history holds: keys, reactions, votes, chats, contacts, media, events, jobs.

A unique index of a partitioned table must contain the time, so what must be unique across months (WhatsApp's ids,
idempotency keys) lives in tables of its own, and open outgoing messages in one that is small enough to be polled.
"""
# ruff: noqa: S608 - statements are put together from the constants of this file

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_AT = "date_trunc('second', case direction when 'in' then coalesce(\"timestamp\", created_at) else created_at end)"
"""Where a row of the first schema is filed: WhatsApp's time for what came, the time of acceptance for what went out."""
_CLAMPED = f"least(greatest({_AT}, timestamptz '2009-01-01 UTC'), timestamptz '2100-01-01 UTC')"
_OLD_COLUMNS = (
    "id, session, tenant, session_uid, seq, direction, chat, sender, wa_id, type, body, status, error, attempts, epoch,"
    ' boot, idempotency_key, "timestamp", created_at, updated_at'
)
_OPEN = "('pending', 'sending', 'uncertain')"

MESSAGES = (
    "alter table messages rename to messages_0001",
    "drop trigger messages_wake on messages_0001",
    "drop function messages_wake()",
    *(f"drop index {name}" for name in ("messages_order", "messages_open", "messages_once", "messages_idempotent")),
    # Row ids of this schema have the layout of UUID version 7 (8 for those made of an event's id): milliseconds since
    # 1970 in their first 48 bits.
    """
    create function message_time(id uuid) returns timestamptz language sql immutable strict parallel safe as $$
        select to_timestamp((('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint / 1000)::double precision)
    $$
    """,
    """
    create function message_id_tells_time(id uuid) returns boolean language sql immutable strict parallel safe as $$
        select get_byte(uuid_send(id), 6) >> 4 in (7, 8)
    $$
    """,
    # The session is a word of the document, too: one look into the index finds a word within one session, without an
    # extension. No parser makes a word with a space, so no text can pretend to be one.
    """
    create function message_search(session text, body jsonb, media jsonb) returns tsvector
    language sql immutable parallel safe as $$
        select array_to_tsvector(array['session ' || session])
            || to_tsvector('simple'::regconfig, left(concat_ws(' ',
                body ->> 'text', body ->> 'caption', media ->> 'fileName', body #>> '{poll,question}',
                body #>> '{location,name}', body #>> '{location,address}', body #>> '{contacts,0,name}'), 65536))
    $$
    """,
    "create sequence messages_seq as bigint",
    """
    create table messages (
        id uuid not null,
        at timestamptz not null default date_trunc('second', now()),
        session text not null,
        tenant text not null,
        session_uid uuid,
        seq bigint not null default nextval('messages_seq'),
        direction text not null check (direction in ('out', 'in')),
        chat text not null,
        contact text,
        sender text,
        sender_phone text,
        wa_id text,
        type text not null default 'text',
        body jsonb not null,
        media jsonb,
        secret bytea,
        status text not null check (status in ('pending', 'sending', 'uncertain', 'sent', 'delivered', 'read', 'played',
            'failed', 'received', 'undecryptable')),
        error text,
        attempts integer not null default 0,
        epoch bigint,
        boot text,
        idempotency_key text,
        quoted_wa_id text,
        history boolean not null default false,
        trace text,
        "timestamp" timestamptz,
        edited_at timestamptz,
        deleted_at timestamptz,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        attention text generated always as (
            case when status in ('failed', 'undecryptable') then status end) stored,
        search tsvector generated always as (message_search(session, body, media)) stored,
        primary key (id, at),
        constraint messages_at_is_the_ids check (not message_id_tells_time(id) or at = message_time(id))
    ) partition by range (at)
    """,
    "alter sequence messages_seq owned by messages.seq",
    # No index names `status`, not even in a condition: a message changes it four times on its way, and each change
    # would be written into every index, the one for search included.
    # With the tenant in them, these two can count without a look at the rows.
    "create index messages_order on messages (session, at, seq) include (tenant)",
    "create index messages_contact on messages (session, contact, at, seq) include (tenant)",
    "create index messages_type on messages (session, type, at, seq)",
    "create index messages_out on messages (session, at, seq) where direction = 'out'",
    "create index messages_attention on messages (session, attention, at, seq) where attention is not null",
    """
    create index messages_media on messages (tenant, coalesce(media ->> 'sha256', body #>> '{media,sha256}'))
        where coalesce(media ->> 'sha256', body #>> '{media,sha256}') is not null
    """,
    "create index messages_search on messages using gin (search)",
    "create table messages_rest partition of messages default",
    """
    create function messages_bounds(moment timestamptz, out lower timestamptz, out upper timestamptz, out name text)
    language sql stable as $$
        -- Months; years before 2025: nobody ran this then, only a phone's history reaches that far.
        select date_trunc(unit, local) at time zone 'UTC',
               (date_trunc(unit, local) + ('1 ' || unit)::interval) at time zone 'UTC',
               'messages_' || to_char(local, case unit when 'year' then 'YYYY' else 'YYYY_MM' end)
        from (select moment at time zone 'UTC' as local,
                     case when moment < timestamptz '2025-01-01 UTC' then 'year' else 'month' end as unit) as asked
    $$
    """,
    """
    create function messages_make_partition(moment timestamptz) returns text language plpgsql as $$
    declare
        wanted record;
        columns text;
    begin
        select * into wanted from messages_bounds(moment);
        if to_regclass(wanted.name) is not null then
            return null;
        end if;
        perform pg_advisory_xact_lock(7243001121);
        -- Asked of the table this time: what to_regclass remembers is as old as the wait for the lock.
        if exists (select from pg_inherits join pg_class on pg_class.oid = inhrelid
                   where inhparent = 'messages'::regclass and relname = wanted.name) then
            return null;
        end if;
        select string_agg(quote_ident(attname), ', ' order by attnum) into columns from pg_attribute
            where attrelid = 'messages'::regclass and attnum > 0 and not attisdropped and attgenerated = '';
        execute format('create table %I (like messages including defaults including constraints including generated'
            ' including storage) with (fillfactor = 85)', wanted.name);
        -- Attaching, unlike creating in place, lets everybody go on; only the rest must stand still for a moment.
        lock table messages_rest in access exclusive mode;
        execute format('with moved as (delete from messages_rest where at >= %L and at < %L returning %s)'
            ' insert into %I (%s) select %s from moved',
            wanted.lower, wanted.upper, columns, wanted.name, columns, columns);
        execute format('alter table messages attach partition %I for values from (%L) to (%L)',
            wanted.name, wanted.lower, wanted.upper);
        return wanted.name;
    end $$
    """,
    f"select messages_make_partition(months.moment) from (select distinct date_trunc('month', {_CLAMPED}) as moment"
    f" from messages_0001) as months",
    "select messages_make_partition(now() + ahead * interval '1 month') from generate_series(0, 3) as ahead",
    f"""
    insert into messages ({_OLD_COLUMNS}, at, contact, sender_phone)
    select {_OLD_COLUMNS}, {_CLAMPED},
        case when body ->> 'chatPhone' is not null then (body ->> 'chatPhone') || '@s.whatsapp.net' else chat end,
        body ->> 'senderPhone'
    from messages_0001
    """,
    "select setval('messages_seq', greatest((select max(seq) from messages), 1))",
    "drop table messages_0001",
)

BESIDE = (
    # WhatsApp's ids, once each. What we send has ids of our own making, unique whatever the chat is called: chat ''.
    """
    create table message_keys (
        session text not null,
        direction text not null,
        wa_id text not null,
        chat text not null,
        id uuid not null,
        at timestamptz not null,
        primary key (session, wa_id, direction, chat)
    )
    """,
    """
    insert into message_keys (session, direction, wa_id, chat, id, at)
    select session, direction, wa_id, case direction when 'out' then '' else chat end, id, at
    from messages where wa_id is not null order by seq on conflict do nothing
    """,
    """
    create table idempotency_keys (
        session text not null,
        key text not null,
        tenant text not null,
        id uuid not null,
        at timestamptz not null,
        primary key (session, key)
    )
    """,
    """
    insert into idempotency_keys (session, key, tenant, id, at)
    select session, idempotency_key, tenant, id, at from messages where idempotency_key is not null
    """,
    """
    create table open_messages (
        session text not null,
        seq bigint not null,
        id uuid not null unique,
        at timestamptz not null,
        primary key (session, seq)
    ) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000)
    """,
    f"""
    insert into open_messages (session, seq, id, at)
    select session, seq, id, at from messages where direction = 'out' and status in {_OPEN}
    """,
    """
    create function message_opened() returns trigger language plpgsql as $$
    begin
        insert into open_messages (session, seq, id, at) values (new.session, new.seq, new.id, new.at)
            on conflict do nothing;
        perform pg_notify('whatsam_messages', new.session);
        return null;
    end $$
    """,
    f"""
    create trigger message_opened after insert on messages for each row
        when (new.direction = 'out' and new.status in {_OPEN}) execute function message_opened()
    """,
    """
    create function message_settled() returns trigger language plpgsql as $$
    begin
        delete from open_messages where id = old.id;
        return null;
    end $$
    """,
    f"""
    create trigger message_settled after update of status on messages for each row
        when (old.status in {_OPEN} and new.status not in {_OPEN}) execute function message_settled()
    """,
    f"""
    create trigger message_removed after delete on messages for each row
        when (old.status in {_OPEN}) execute function message_settled()
    """,
    # However an outgoing message gets WhatsApp's id, receipts must find it by that.
    """
    create function message_named() returns trigger language plpgsql as $$
    begin
        insert into message_keys (session, direction, wa_id, chat, id, at)
            values (new.session, 'out', new.wa_id, '', new.id, new.at) on conflict do nothing;
        return null;
    end $$
    """,
    """
    create trigger message_named after update of wa_id on messages for each row
        when (new.direction = 'out' and new.wa_id is not null and new.wa_id is distinct from old.wa_id)
        execute function message_named()
    """,
)

AROUND = (
    """
    create table reactions (
        session text not null,
        tenant text not null,
        chat text not null,
        wa_id text not null,
        sender text not null,
        emoji text not null,
        at timestamptz not null,
        primary key (session, wa_id, chat, sender)
    )
    """,
    """
    create table poll_votes (
        session text not null,
        tenant text not null,
        chat text not null,
        wa_id text not null,
        voter text not null,
        options text[] not null,
        at timestamptz not null,
        primary key (session, wa_id, chat, voter)
    )
    """,
    """
    create table message_edits (
        session text not null,
        tenant text not null,
        message_id uuid not null,
        body jsonb not null,
        replaced_at timestamptz not null,
        primary key (session, message_id, replaced_at)
    )
    """,
    # Who of a group has a message of ours.
    """
    create table message_receipts (
        session text not null,
        tenant text not null,
        message_id uuid not null,
        recipient text not null,
        status text not null,
        at timestamptz not null,
        primary key (message_id, recipient)
    )
    """,
    # Records of the inbound journal that wait for a message that they refer to.
    """
    create table deferred (
        id uuid primary key,
        session text not null,
        tenant text not null,
        session_uid uuid,
        wa_id text not null,
        reason text not null,
        payload bytea not null,
        tries integer not null default 0,
        next_at timestamptz not null default now(),
        created_at timestamptz not null default now()
    )
    """,
    "create index deferred_target on deferred (session, wa_id)",
    "create index deferred_work on deferred (session, next_at)",
    # Records that could not be stored in any form, for the people who look after the installation.
    """
    create table dead_letters (
        session text not null,
        tenant text not null,
        session_uid uuid,
        event_id text not null,
        reason text not null,
        payload bytea not null,
        created_at timestamptz not null default now(),
        primary key (session, event_id)
    )
    """,
    """
    create table chats (
        session text not null,
        tenant text not null,
        chat text not null,
        contact text,
        name text,
        kind text not null default 'person',
        last_at timestamptz,
        last_message_id uuid,
        unread integer not null default 0,
        marked_unread boolean not null default false,
        archived boolean not null default false,
        pinned_at timestamptz,
        muted_until timestamptz,
        ephemeral_seconds integer not null default 0,
        updated_at timestamptz not null default now(),
        primary key (session, chat)
    ) with (fillfactor = 80)
    """,
    "create index chats_order on chats (session, last_at)",
    """
    create table contacts (
        session text not null,
        tenant text not null,
        jid text not null,
        phone text,
        lid text,
        push_name text,
        full_name text,
        business_name text,
        updated_at timestamptz not null default now(),
        primary key (session, jid)
    )
    """,
    "create index contacts_phone on contacts (session, phone) where phone is not null",
    "create index contacts_lid on contacts (session, lid) where lid is not null",
    """
    create table media (
        message_id uuid primary key,
        message_at timestamptz not null,
        session text not null,
        tenant text not null,
        session_uid uuid,
        state text not null default 'pending' check (state in ('pending', 'stored', 'failed', 'expired', 'skipped')),
        kind text not null,
        source jsonb not null,
        object text,
        sha256 text,
        size bigint,
        attempts integer not null default 0,
        next_at timestamptz not null default now(),
        claimed_by text,
        claimed_until timestamptz,
        error text,
        created_at timestamptz not null default now()
    )
    """,
    "create index media_object on media (tenant, sha256) where sha256 is not null",
    "create index media_work on media (session, next_at) where state = 'pending'",
    "create index media_of_session on media (session, created_at)",
    # Objects that perhaps no message refers to any more (or yet): looked at again a day later, then removed.
    """
    create table media_unreferenced (
        tenant text not null,
        sha256 text not null,
        since timestamptz not null default now(),
        primary key (tenant, sha256)
    )
    """,
    """
    create table events (
        id bigint generated always as identity primary key,
        session text not null,
        tenant text not null,
        event_id uuid not null unique,
        kind text not null,
        message_id uuid,
        body jsonb not null,
        created_at timestamptz not null default now()
    )
    """,
    "create index events_of_session on events (session, id)",
    "create index events_age on events (created_at)",
    "create index events_message on events (message_id) where message_id is not null",
    """
    create table jobs (
        id uuid primary key,
        tenant text not null,
        session text not null,
        kind text not null check (kind in ('export', 'erase')),
        state text not null default 'waiting' check (state in ('waiting', 'running', 'done', 'failed', 'expired')),
        parameters jsonb not null default '{}',
        progress bigint not null default 0,
        total bigint,
        cursor jsonb,
        object text,
        error text,
        claimed_until timestamptz,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now()
    )
    """,
    "create index jobs_of_session on jobs (session, created_at)",
    "create index jobs_work on jobs (created_at) where state in ('waiting', 'running')",
    # When the upkeep was last done, whichever replica did it.
    """
    create table upkeep (
        name text primary key,
        at timestamptz not null
    )
    """,
    # When a session's object went while its rows stayed: they go when the time to adopt them is over.
    """
    create table departed_sessions (
        session text primary key,
        tenant text not null,
        at timestamptz not null default now()
    )
    """,
)

UPGRADE = (*MESSAGES, *BESIDE, *AROUND)

DOWNGRADE = (
    "alter table messages rename to messages_0002",
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
    # What the first schema cannot say goes: messages that were never readable.
    f"""
    insert into messages ({_OLD_COLUMNS}) overriding system value
    select {_OLD_COLUMNS.replace("status", "case status when 'played' then 'read' else status end", 1)}
    from messages_0002 where status <> 'undecryptable'
    """,
    "select setval(pg_get_serial_sequence('messages', 'seq'), greatest((select max(seq) from messages), 1))",
    "drop table messages_0002",
    *(
        f"drop table {name}"
        for name in (
            "message_keys", "idempotency_keys", "open_messages", "reactions", "poll_votes", "message_edits",
            "message_receipts", "deferred", "dead_letters", "chats", "contacts", "media", "media_unreferenced",
            "events", "jobs", "departed_sessions", "upkeep",
        )
    ),
    *(
        f"drop function {name}"
        for name in (
            "message_opened()", "message_settled()", "message_named()", "messages_make_partition(timestamptz)",
            "messages_bounds(timestamptz)", "message_search(text, jsonb, jsonb)", "message_id_tells_time(uuid)",
            "message_time(uuid)",
        )
    ),
    "create index messages_order on messages (session, seq)",
    f"create index messages_open on messages (session, seq) where status in {_OPEN}",
    "create unique index messages_once on messages (session, direction, wa_id, chat) where wa_id is not null",
    "create unique index messages_idempotent on messages (session, idempotency_key) where idempotency_key is not null",
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
)  # fmt: skip


def upgrade() -> None:
    """Move messages into months and make the tables around them; all of it or nothing."""
    for statement in UPGRADE:
        op.execute(statement)


def downgrade() -> None:
    """Back to one table of messages; what the first schema has no place for is lost."""
    for statement in DOWNGRADE:
        op.execute(statement)
