"""A new message as something that later records refer to. Pure; for the other modules of this package."""

from whatsam_connector.messages.batch import NewMessage, TargetRow


def target_of(row: NewMessage) -> TargetRow:
    """What would be stored of this message; of a row without WhatsApp's id, one that no record can name."""
    poll = row.body.get("poll")
    options = tuple(str(option) for option in poll["options"]) if isinstance(poll, dict) else ()
    return TargetRow(
        id=row.id,
        at=row.at,
        wa_id=row.wa_id or "",
        chat=row.chat,
        contact=row.contact,
        direction=row.direction,
        sender=row.sender,
        sender_phone=row.sender_phone,
        type=row.type,
        secret=row.secret,
        options=options,
    )
