"""How callers name a message: by the id that the API gave, or by WhatsApp's own. Pure."""

import re

_ROW_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def is_row_id(name: str) -> bool:
    """Whether it is an id that the API gave; WhatsApp's ids are never written that way."""
    return _ROW_ID.fullmatch(name) is not None
