"""The words of messages that are made of buttons, lists and templates. Pure; for `reading_bodies`.

Whatsam does not model these: their text is shown, the type is unknown, and the whole message is kept as it came.
"""

from collections.abc import Callable
from typing import Any, Final

from whatsam_connector.content.reading_parts import string

Words = tuple[str | bytes, ...]


def button_text(message: Any) -> str | None:
    """What such a message says, one line for each part; None for another kind of message."""
    for name, words in _WORDS.items():
        if message.HasField(name):
            return "\n".join(string(text) for text in words(getattr(message, name)) if text)
    return None


def _buttons(part: Any) -> Words:
    return (part.text, part.contentText, part.footerText, *(button.buttonText.displayText for button in part.buttons))


def _list(part: Any) -> Words:
    rows = (row.title for section in part.sections for row in section.rows)
    return (part.title, part.description, part.footerText, part.buttonText, *rows)


def _template(part: Any) -> Words:
    row, inner = part.hydratedTemplate, part.interactiveMessageTemplate
    return (
        row.hydratedTitleText,
        row.hydratedContentText,
        row.hydratedFooterText,
        inner.header.title,
        inner.body.text,
    )


_WORDS: Final[dict[str, Callable[[Any], Words]]] = {
    "buttonsMessage": _buttons,
    "buttonsResponseMessage": lambda part: (part.selectedDisplayText,),
    "listMessage": _list,
    "listResponseMessage": lambda part: (part.title, part.description),
    "templateMessage": _template,
    "templateButtonReplyMessage": lambda part: (part.selectedDisplayText,),
    "interactiveMessage": lambda part: (part.header.title, part.header.subtitle, part.body.text, part.footer.text),
    "interactiveResponseMessage": lambda part: (part.body.text,),
    "productMessage": lambda part: (part.product.title, part.product.description, part.body, part.footer),
    "orderMessage": lambda part: (part.orderTitle, part.message),
    "stickerPackMessage": lambda part: (part.name, part.publisher, part.caption),
    "newsletterAdminInviteMessage": lambda part: (part.newsletterName, part.caption),
}
