"""Turns what a person wants to send into a message protobuf and its stanza's attributes. Used by the control API."""

from __future__ import annotations

import base64
import binascii
import os
from dataclasses import replace

from whatsam_simulator.contacts import compose
from whatsam_simulator.contacts.compose import MediaFacts, Quote, Surroundings
from whatsam_simulator.contacts.content import Content, read
from whatsam_simulator.contacts.fields import base_kind
from whatsam_simulator.contacts.memory import Memory
from whatsam_simulator.contacts.outgoing import Edit, GroupInvite, Media, MessageBody, Poll, Reaction, Vote
from whatsam_simulator.contacts.sending import Outgoing
from whatsam_simulator.crypto import media as media_crypto
from whatsam_simulator.crypto.secrets import POLL_VOTE, Binding
from whatsam_simulator.errors import MalformedInput, RequestRefused
from whatsam_simulator.server.context import Context
from whatsam_simulator.server.site import MEDIA_HOST, media_path
from whatsam_simulator.world.records import Account

CONTENTS = (
    *("raw", "text", "media", "location", "live_location", "contacts", "poll", "vote", "reaction", "edit", "revoke"),
    *("timer", "invite"),
)
MEDIA_TYPES = {"voice": "ptt", "ptv": "video", "contact": "vcard", "contacts": "contact_array"}
STANZA_MEDIA = ("image", "video", "gif", "ptv", "audio", "voice", "document", "sticker", "contact", "contacts")
EDIT_MESSAGE, REVOKE_OWN, REVOKE_OTHERS = "1", "7", "8"
"""The stanza's `edit`, as whatsmeow's `EditAttribute`."""
BARE_TEXT = {"text", "to", "sender"}
"""Fields of the most common body; in volume runs the rest is not looked at."""
INVITE_SECONDS = 3 * 86_400


class Authoring:
    """Writes messages in the name of a phone or contact."""

    def __init__(self, context: Context, memory: Memory) -> None:
        self._context = context
        self._memory = memory

    def write(self, author: Account, body: MessageBody) -> Outgoing:
        """Raises `RequestRefused` for a body that makes no message, `UnknownItem` for messages that are not there."""
        if body.text is not None and body.model_fields_set <= BARE_TEXT:
            return Outgoing(compose.compose_text(body.text))
        given = [name for name in CONTENTS if getattr(body, name) is not None]
        if len(given) != 1:
            raise RequestRefused("a message needs exactly one content, for example text or media")
        if body.raw is not None:
            return outgoing(decoded(body.raw, "raw"), body)
        message = self._content(author, body)
        if body.poll is not None or body.secret:
            message = compose.with_secret(message, os.urandom(32))
        message = compose.surrounded(message, self._surroundings(author, body))
        if body.ephemeral:
            message = compose.in_ephemeral_wrapper(message)
        return outgoing(message, body)

    def _content(self, author: Account, body: MessageBody) -> bytes:  # noqa: PLR0911, one line for each kind
        if body.media is not None:
            return self._media(body.media)
        if body.location is not None:
            return compose.compose_location(body.location)
        if body.live_location is not None:
            return compose.compose_live_location(body.live_location, body.live_location.caption)
        if body.contacts is not None:
            return compose.compose_contacts(body.contacts)
        if body.poll is not None:
            return _poll(body.poll)
        if body.vote is not None:
            return self._vote(author, body.vote)
        if body.reaction is not None:
            return self._reaction(author, body.reaction)
        if body.edit is not None:
            return self._edit(author, body.edit)
        if body.revoke is not None:
            return compose.compose_revoke(self._memory.recall(author, body.revoke).target)
        if body.timer is not None:
            return compose.compose_timer(body.timer, self._context.timestamp())
        if body.invite is not None:
            return self._invite(body.invite)
        return compose.compose_text(body.text or "", body.preview)

    def _surroundings(self, author: Account, body: MessageBody) -> Surroundings:
        quote = None
        if body.quote is not None:
            known = self._memory.recall(author, body.quote)
            quote = Quote(known.id, str(known.sender.lid), known.message)
        mentions = [str(self._context.world.account(number).lid) for number in body.mentions]
        return Surroundings(quote, mentions, body.expiration, body.forwarded)

    def _media(self, media: Media) -> bytes:
        """Uploads the file; the message names it."""
        kind = base_kind(media.kind)
        sealed, token = media_crypto.seal(kind, decoded(media.data, "media.data")), os.urandom(16).hex()
        if not media.missing:
            self._context.world.store_media(token, sealed.sealed)
        if media.wrong_hash:
            sealed = replace(sealed, plain_sha256=os.urandom(32))
        facts = MediaFacts(
            media.mimetype,
            media.caption,
            media.file_name,
            media.seconds,
            media.width,
            media.height,
            decoded(media.thumbnail, "media.thumbnail") if media.thumbnail else None,
            media.view_once,
        )
        return compose.compose_media(media.kind, sealed, MEDIA_HOST, media_path(token), facts)

    def _vote(self, author: Account, vote: Vote) -> bytes:
        poll = self._memory.recall(author, vote.id)
        if poll.secret is None or not poll.options:
            raise RequestRefused(f"message {vote.id} is no poll")
        unknown = set(vote.options) - set(poll.options)
        if unknown:
            raise RequestRefused(f"the poll has no option {unknown.pop()}")
        plain = compose.vote_content(vote.options)
        sender, voter = str(poll.sender.lid), str(author.lid)
        sealed, iv = Binding(POLL_VOTE, poll.secret, poll.id, sender, voter).seal(plain)
        return compose.compose_vote(poll.target, sealed, iv, self._milliseconds())

    def _reaction(self, author: Account, reaction: Reaction) -> bytes:
        target = self._memory.recall(author, reaction.id).target
        return compose.compose_reaction(target, reaction.emoji, self._milliseconds())

    def _edit(self, author: Account, edit: Edit) -> bytes:
        known = self._memory.recall(author, edit.id)
        if not known.from_me:
            raise RequestRefused("only own messages can be edited")
        return compose.compose_edit(known.target, compose.compose_text(edit.text), self._milliseconds())

    def _invite(self, invite: GroupInvite) -> bytes:
        group = self._context.world.group(invite.group)
        expires = self._context.timestamp() + INVITE_SECONDS
        return compose.compose_group_invite(str(group.jid), group.invite, expires, group.subject, invite.caption)

    def _milliseconds(self) -> int:
        return self._context.timestamp() * 1000


def outgoing(message: bytes, body: MessageBody | None = None) -> Outgoing:
    """The message with the attributes that its stanza needs; raises `RequestRefused` when it is no protobuf."""
    try:
        content = read(message)
    except MalformedInput as error:
        raise RequestRefused(f"no Message protobuf: {error}") from None
    edit = (body.edit_attribute if body else None) or _edit_attribute(content)
    return Outgoing(
        message,
        _stanza_type(content.kind),
        MEDIA_TYPES.get(content.kind, content.kind) if content.kind in STANZA_MEDIA else None,
        edit,
        {"poll": "creation", "vote": "vote"}.get(content.kind),
        body.id if body else None,
        body.timestamp if body else None,
    )


def _stanza_type(kind: str) -> str:
    if kind in ("reaction", "encrypted_reaction"):
        return "reaction"
    if kind in ("poll", "vote"):
        return "poll"
    return "media" if kind in STANZA_MEDIA else "text"


def _edit_attribute(content: Content) -> str | None:
    target = content.details.target
    if content.kind == "edit":
        return EDIT_MESSAGE
    if content.kind == "revoke" and target is not None:
        return REVOKE_OWN if target.from_me else REVOKE_OTHERS
    return REVOKE_OWN if content.kind == "reaction" and not content.text else None


def _poll(poll: Poll) -> bytes:
    if poll.selectable > len(poll.options):
        raise RequestRefused("a poll cannot let more options be chosen than it has")
    return compose.compose_poll(poll.question, poll.options, poll.selectable, poll.version)


def decoded(text: str, name: str) -> bytes:
    """Base64; raises `RequestRefused` that names the field."""
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise RequestRefused(f"{name} is no base64") from None
