"""What an edit, a deletion or a reaction of ours changes about the message it is about, once WhatsApp has taken it.

Written in the transaction that settles the row of the change, so that none is lost and none is there before its time.
"""

import json
from typing import TYPE_CHECKING
from uuid import UUID

from whatsam_connector.messages.batch import Edit, ReactionChange, Revoke
from whatsam_connector.storage.incoming_around import reactions
from whatsam_connector.storage.incoming_changes import edits, revokes
from whatsam_connector.storage.incoming_owner import Owner
from whatsam_connector.storage.target_rows import TARGET_COLUMNS, target_row
from whatsam_core.messages import EditBody, InvalidBody, MessageType, ReactionBody, RevokeBody, parse_body

if TYPE_CHECKING:
    from whatsam_connector.storage.incoming_owner import Connection

_CHANGE = (
    'select type, body, tenant, session_uid, coalesce("timestamp", now()) as moment from messages '
    "where session = $1 and id = $2 and at = message_time($2) and type in ('edit', 'revoke', 'reaction')"
)
_TARGET = f"select {TARGET_COLUMNS} from messages where session = $1 and tenant = $2 and id = $3"


async def apply_effect(connection: "Connection", session: str, message: UUID) -> None:
    """Change the message that the settled row `message` is about; nothing for a row of any other type."""
    row = await connection.fetchrow(_CHANGE, session, message)
    if row is None:
        return
    body = row["body"]
    try:
        change = parse_body(row["type"], json.loads(body) if isinstance(body, str) else body)
    except InvalidBody:
        return  # it could not have been sent
    if not isinstance(change, EditBody | RevokeBody | ReactionBody) or change.target.message_id is None:
        return
    found = await connection.fetchrow(_TARGET, session, row["tenant"], change.target.message_id)
    if found is None or found["wa_id"] is None:
        return
    target, owner = target_row(found), Owner(session, row["tenant"], row["session_uid"])
    match change:
        case EditBody():
            field = "text" if target.type == MessageType.TEXT else "caption"
            changes = {field: change.text, "mentions": change.mentions}
            await edits(connection, owner, [Edit(target, changes, row["moment"], None)])
        case RevokeBody():
            await revokes(connection, owner, [Revoke(target, row["moment"], None)])
        case ReactionBody():
            if change.actor is not None:
                reaction = ReactionChange(
                    target.contact, target.wa_id, change.actor, change.reaction.emoji, row["moment"], None
                )
                await reactions(connection, owner, [reaction])
