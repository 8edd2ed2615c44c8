"""The table `media` as the downloader's work list. What an attempt means is decided by `messages.media.outcomes`."""

import base64
import json
from collections.abc import Mapping
from typing import Any

import asyncpg

from whatsam_connector.content.reading_parts import MediaSource
from whatsam_connector.messages.inbound.names import event_id
from whatsam_connector.messages.media.outcomes import Again, Settled
from whatsam_connector.messages.media.work import Fetched, MediaItem
from whatsam_connector.storage.database import Database

# The newest messages first: somebody waits for those, and a history of thousands must not hold them up.
_CLAIM = """
with asked as (select * from unnest($1::text[], $2::int[]) as asked(session, most)),
taken as (
    select chosen.message_id from asked cross join lateral (
        select message_id from media
        where media.session = asked.session and state = 'pending' and next_at <= now()
            and (claimed_by is distinct from $3 or claimed_until is null or claimed_until < now())
        order by message_at desc limit asked.most for update skip locked
    ) as chosen
)
update media set claimed_by = $3, claimed_until = now() + make_interval(secs => $4)
from taken where media.message_id = taken.message_id
returning media.message_id, message_at, session, tenant, kind, source, size, attempts
"""
_SETTLE = """
update media set state = $3, error = $4, sha256 = coalesce($5, sha256), size = coalesce($6, size),
    object = coalesce($7, object), attempts = attempts + 1, claimed_by = null, claimed_until = null
where session = $1 and message_id = $2 and state = 'pending' returning session_uid
"""
_DESCRIBE = """
update messages set media = coalesce(media, '{}') || $4::jsonb, updated_at = now()
where session = $1 and id = $2 and at = $3 and deleted_at is null
"""
_EVENT = """
insert into events (session, tenant, event_id, kind, message_id, body)
values ($1, $2, $3, 'message.media', $4, $5::jsonb) on conflict do nothing
"""
_LOOSE = """
insert into media_unreferenced (tenant, sha256) values ($1, $2)
on conflict (tenant, sha256) do update set since = now()
"""
_AGAIN = """
update media set next_at = now() + make_interval(secs => $3), attempts = attempts + $4, error = nullif($5, ''),
    claimed_by = null, claimed_until = null
where session = $1 and message_id = $2 and state = 'pending'
"""
_RELEASE = "update media set claimed_by = null, claimed_until = null where claimed_by = $1 and state = 'pending'"


class MediaWork:
    """Files to be downloaded. Each call is a transaction and raises `DatabaseUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, sessions: Mapping[str, int], boot: str, seconds: float) -> list[MediaItem]:
        """Take files in hand: of each session the number that is given at most.

        What another boot has in hand is taken all the same: the session is ours now, and downloading twice is harmless.
        """
        async with self._database.transaction() as connection:
            rows = await connection.fetch(_CLAIM, list(sessions), list(sessions.values()), boot, seconds)
        return sorted((_item(row) for row in rows), key=lambda item: item.message_at, reverse=True)

    async def settle(self, item: MediaItem, settled: Settled, fetched: Fetched | None, key: str | None) -> None:
        """Write the last state, into the message as well, and tell of it."""
        sha256, size = (None, None) if fetched is None else (fetched.sha256, fetched.size)
        described: dict[str, Any] = {"state": settled.state}
        if fetched is not None:
            described |= {"sha256": fetched.sha256, "size": fetched.size}
        if settled.error is not None:
            described["error"] = settled.error
        async with self._database.transaction() as connection:
            found = await connection.fetchrow(
                _SETTLE, item.session, item.message_id, settled.state, settled.error, sha256, size, key
            )
            if found is None:
                if sha256 is not None:  # the message was deleted meanwhile: nobody refers to the object
                    await connection.execute(_LOOSE, item.tenant, sha256)
                return
            await connection.execute(_DESCRIBE, item.session, item.message_id, item.message_at, json.dumps(described))
            event = event_id(item.session, str(item.message_id), "media", settled.state)
            await connection.execute(_EVENT, item.session, item.tenant, event, item.message_id, json.dumps(described))

    async def again(self, item: MediaItem, again: Again) -> None:
        """Put it back for later."""
        async with self._database.transaction() as connection:
            await connection.execute(
                _AGAIN, item.session, item.message_id, again.seconds, int(again.counted), again.error
            )

    async def release(self, boot: str) -> None:
        """Let go of everything that this boot has in hand."""
        async with self._database.transaction() as connection:
            await connection.execute(_RELEASE, boot)


def _item(row: asyncpg.Record) -> MediaItem:
    source: dict[str, Any] = json.loads(row["source"])
    return MediaItem(
        message_id=row["message_id"],
        message_at=row["message_at"],
        session=row["session"],
        tenant=row["tenant"],
        attempts=row["attempts"],
        source=MediaSource(
            kind=row["kind"],
            direct_path=source["directPath"],
            media_key=base64.b64decode(source["mediaKey"]),
            sha256=base64.b64decode(source["sha256"]),
            enc_sha256=base64.b64decode(source["encSha256"]),
            size=row["size"],
            mimetype=source["mimetype"],
            file_name=source["fileName"],
        ),
    )
