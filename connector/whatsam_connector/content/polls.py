"""Votes and reactions that are encrypted with the secret of the message they are about. Pure; for the inbox.

Key: HKDF-SHA256 of the message's secret (32 bytes), without salt, with the info `<message id><author><voter><use>`;
AES-256-GCM with the given IV; for votes `<message id> NUL <voter>` is authenticated as well. Author and voter are JIDs
without device, as LID or by phone number, nobody says which: every pair is tried. Source: whatsmeow `msgsecret.go`.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from whatsam_connector.content.reading_parts import string
from whatsam_connector.content.schema import MalformedMessage, PollVoteMessage, message_class, parse

_ReactionMessage: Final = message_class("ReactionMessage")
_VOTE: Final = b"Poll Vote"
_REACTION: Final = b"Enc Reaction"
_IV: Final = 12
_TAG: Final = 16


class Undecipherable(ValueError):
    """No pair of names opens it: another secret, a forged author, or damage."""


def open_vote(
    payload: bytes, iv: bytes, *, secret: bytes, wa_id: str, authors: Sequence[str], voters: Sequence[str]
) -> tuple[bytes, ...]:
    """SHA-256 of each chosen option. Raises `Undecipherable`.

    `wa_id` and `authors` are the poll's, `voters` the names of who is proven to have sent the vote.
    """
    for author in authors:
        for voter in voters:
            plain = _opened(_key(secret, wa_id, author, voter, _VOTE), iv, payload, f"{wa_id}\0{voter}".encode())
            if plain is not None:
                try:
                    return tuple(parse(plain, PollVoteMessage).selectedOptions)
                except MalformedMessage as error:
                    raise Undecipherable("the vote is no vote") from error
    raise Undecipherable("no pair of names opens the vote")


def open_reaction(
    payload: bytes, iv: bytes, *, secret: bytes, wa_id: str, authors: Sequence[str], senders: Sequence[str]
) -> str:
    """The emoji of an encrypted reaction. Raises `Undecipherable`."""
    for author in authors:
        for sender in senders:
            plain = _opened(_key(secret, wa_id, author, sender, _REACTION), iv, payload, None)
            if plain is not None:
                try:
                    return string(parse(plain, _ReactionMessage).text)[:64]
                except MalformedMessage as error:
                    raise Undecipherable("the reaction is no reaction") from error
    raise Undecipherable("no pair of names opens the reaction")


def chosen(options: Sequence[str], hashes: Iterable[bytes]) -> tuple[str, ...]:
    """The options that were chosen, in the poll's order. A hash that no option has is dropped: an added option."""
    wanted = set(hashes)
    return tuple(option for option in options if hashlib.sha256(option.encode()).digest() in wanted)


def _key(secret: bytes, wa_id: str, author: str, sender: str, use: bytes) -> bytes:
    info = wa_id.encode() + author.encode() + sender.encode() + use
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(secret)


def _opened(key: bytes, iv: bytes, payload: bytes, proven: bytes | None) -> bytes | None:
    if len(iv) != _IV or len(payload) < _TAG:
        return None
    try:
        return AESGCM(key).decrypt(iv, payload, proven)
    except InvalidTag:
        return None
