"""vCards of contact cards that are given by name and number only. Pure; for `building`."""

from whatsam_core.messages import ContactCard


def vcard(card: ContactCard) -> str:
    """The card's own vCard, or one of version 3.0 that WhatsApp's apps offer a chat for."""
    if card.vcard is not None:
        return card.vcard
    digits = (card.phone or "").lstrip("+")
    name = _escaped(card.name)
    return (
        "BEGIN:VCARD\n"
        "VERSION:3.0\n"
        f"N:;{name};;;\n"
        f"FN:{name}\n"
        f"TEL;type=CELL;type=VOICE;waid={digits}:+{digits}\n"
        "END:VCARD"
    )


def _escaped(text: str) -> str:
    """A value as RFC 2426 writes it: a name must not be able to add lines of its own."""
    plain = text.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,")
    return "\\n".join(plain.splitlines())
