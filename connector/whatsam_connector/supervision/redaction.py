"""Takes out of an engine's output what must not reach a log: numbers, JIDs, codes, keys, texts. Pure.

neonize and whatsmeow print what they like, and Go's panics print memory. So this errs on the side of taking out too
much: what stays is meant for finding out which part of the library complained.
"""

import re

MAX_LINE = 400


def _quoted(found: re.Match[str]) -> str:
    return found[1] or '"…"'


_RULES = (
    # A pairing QR code is a reference and three keys; with or without its address.
    (re.compile(r"https?://\S*linked_devices\S*|(?<![\d.:-])\d@[\w+/=-]{12,}\S*"), "<qr>"),
    (re.compile(r"(?i)(pair(?:ing)? ?code:?\s*)\S+"), r"\1<code>"),
    (re.compile(r"\b[A-Z0-9]{4}-[A-Z0-9]{4}\b"), "<code>"),
    # Quoted strings may be message texts; the file names of a traceback may stay.
    (re.compile(r'(File "[^"]*")|"(?:[^"\\]|\\.)*"?'), _quoted),
    (re.compile(r"(?<![\w])'(?:[^'\\]|\\.)*'"), "'…'"),
    (re.compile(r"`[^`]*`?"), "`…`"),
    (re.compile(r"[^\s<>@\"'=(\[]+@(?:s\.whatsapp\.net|lid|g\.us|c\.us|broadcast|newsletter|bot|hosted\S*)"), "<jid>"),
    # Keys and ciphertext: long runs of hex or base64 (paths keep their slashes apart and stay readable).
    (re.compile(r"\b(?:0x)?[0-9a-fA-F]{24,}\b"), "<hex>"),
    (
        re.compile(r"(?<![\w/.-])(?=[A-Za-z0-9+/_-]*[0-9])(?=[A-Za-z0-9+/_-]*[A-Z])[A-Za-z0-9+/_-]{20,}={0,2}"),
        "<base64>",
    ),
    (re.compile(r"\+?\b\d[\d ().-]{5,}\d\b"), "<number>"),
)


def redact(line: str) -> str:
    """One line of an engine's output, fit for a log."""
    for pattern, replacement in _RULES:
        line = pattern.sub(replacement, line)
    line = "".join(character if character.isprintable() else "?" for character in line)
    return line if len(line) <= MAX_LINE else line[:MAX_LINE] + "…"
