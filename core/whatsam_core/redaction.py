"""What never reaches a log line, and how it is masked: phone numbers, users of JIDs, tokens, QR texts, message texts.

Pure. Two nets: keys whose values are private whatever they hold, and patterns that are private wherever they stand.
Masking keeps just enough to recognise a thing again (the last two digits of a number). Used by `logging` and by
whoever relays the output of an engine.
"""

import re
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any, Final, cast

MASK: Final = "[redacted]"

_PRIVATE_KEYS: Final = re.compile(
    r"(?:^|_)(?:password|passwd|secret|secret_key|token|authorization|cookie|api_key|private_key|access_key|data_key"
    r"|wrapped_key|keyring|qr|qr_code|pairing_code|confirmation_code|passkey|credentials|dsn|database_url|redis_url|text|caption|body|content"
    r"|push_name)$"
)
"""Of keys in snake_case. `code` alone is not here: it is an error code far more often than a QR code."""
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

_JWT: Final = re.compile(r"\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*")
_BEARER: Final = re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}")
_URL_PASSWORD: Final = re.compile(r"(?<=://)([^\s:/@]*):([^\s/@]+)(?=@)")
_QR: Final = re.compile(r"\b\d@[\w+/=-]{16,}(?:,[\w+/=-]+)*")
_PAIRING_CODE: Final = re.compile(r"(?<![\w-])[1-9A-HJ-NP-TV-Z]{4}-[1-9A-HJ-NP-TV-Z]{4}(?![\w-])")
_JID: Final = re.compile(
    r"(?<![\w.-])(\d{5,20})((?:[._:-]\d+)*)(?=@(?:s\.whatsapp\.net|c\.us|g\.us|lid|hosted|hosted\.lid|msgr|newsletter"
    r"|broadcast|bot)\b)"
)
_INTERNATIONAL: Final = re.compile(r"\+[1-9](?:[ ().-]?\d){6,14}(?!\d)")
_NUMBER: Final = re.compile(r"(?<![\w.-])\d{9,15}(?![\w-]|\.\d)")
"""Nine to fifteen digits standing alone. Ids with letters or hyphens, IP addresses and fractions are left alone."""
_NUMBER_MAY_STAND: Final = re.compile(
    r"(?:^|_)(?:version|resource_version|seq|epoch|position|generation|count|bytes|size|duration|seconds|milliseconds"
    r"|ms|at|time|timestamp|since|deadline|boot_id|uid|sha256|port|pid)$"
)


def redact_text(text: str, *, numbers: bool = True) -> str:
    """The text with everything private masked. `numbers` False leaves plain digits alone (a resourceVersion)."""
    text = _URL_PASSWORD.sub(rf"\1:{MASK}", text)
    text = _JWT.sub(MASK, text)
    text = _BEARER.sub(rf"\1 {MASK}", text)
    text = _QR.sub(MASK, text)
    text = _JID.sub(lambda found: _tail(found[1]), text)
    text = _INTERNATIONAL.sub(lambda found: _tail(re.sub(r"\D", "", found[0])), text)
    text = _PAIRING_CODE.sub(MASK, text)
    if numbers:
        text = _NUMBER.sub(lambda found: _tail(found[0]), text)
    return text


def redact_value(key: str, value: Any) -> Any:
    """The value as it may be logged under this key; containers are redacted within."""
    snake = _CAMEL.sub("_", key).lower().replace("-", "_")
    redacted: Any
    if value is None or isinstance(value, bool | float):
        redacted = value
    elif _PRIVATE_KEYS.search(snake) and value != "":
        redacted = MASK
    elif isinstance(value, str | int):
        redacted = _redact_scalar(snake, value)
    elif isinstance(value, bytes | bytearray | memoryview):
        redacted = f"[{len(value)} bytes]"
    elif isinstance(value, Mapping):
        pairs = cast("Mapping[Any, Any]", value).items()
        redacted = {redact_text(str(name)): redact_value(str(name), inner) for name, inner in pairs}
    elif isinstance(value, Sequence | set | frozenset):
        redacted = [redact_value(key, inner) for inner in cast("Sequence[Any]", value)]
    else:  # the renderer would turn it into text after us
        redacted = redact_text(str(value))
    return redacted


def _redact_scalar(snake: str, value: str | int) -> str | int:
    if "phone" in snake and len(digits := re.sub(r"\D", "", str(value))) > 4:
        return _tail(digits)
    if isinstance(value, int):
        return value
    return redact_text(value, numbers=not _NUMBER_MAY_STAND.search(snake))


def redact_event(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: must run after tracebacks were made text and before rendering."""
    for key, value in list(event.items()):
        if key.startswith("_"):  # structlog's own bookkeeping, dropped before rendering
            continue
        event[key] = redact_text(str(value)) if key == "event" else redact_value(key, value)
    return event


def _tail(digits: str) -> str:
    return f"***{digits[-2:]}"
