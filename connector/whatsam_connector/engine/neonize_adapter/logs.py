"""What whatsmeow logs for one session: passed on, and listened to for two facts that no event of neonize tells.

* New prekeys: whatsmeow writes them to the session's file before it logs that it uploads them.
* A message whose key is used up: an engine that died has decrypted it, WhatsApp delivers it again, whatsmeow drops it
  and acknowledges it. Whether it is lost depends on the journal, so the journal gets a record of it.
"""

import ctypes
import re
import types
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from neonize.client import NewClient, ProxySettings
from neonize.proto.Neonize_pb2 import LogEntry
from neonize.utils.log import log_whatsmeow

from whatsam_connector.engine.events import KeysUploaded
from whatsam_connector.engine.neonize_adapter.jids import GROUP_SERVER, parse_jid, person_text, phone_of
from whatsam_connector.journal import InboundUndecryptable, JournalError

if TYPE_CHECKING:
    from whatsam_connector.engine.neonize_adapter.session import NeonizeSession

_UPLOADING = re.compile(r"^Uploading \d+ new prekeys to server$")
_OLD_COUNTER = re.compile(r"^Ignoring message (\S+) from (\S+?)(?: in (\S+?))?: .*old counter", re.DOTALL)


def connect(client: NewClient, on_log: Callable[[int, int], None], proxy: ProxySettings | None) -> None:
    """neonize's `connect()` with a log of the client's own: blocks for the life of the client.

    neonize hands one function of its module to every client, and the lines do not say whose they are. Here the same
    code runs with another function under that name.
    """
    code = NewClient.connect_with_proxy
    names = {**code.__globals__, "log_whatsmeow": on_log}
    types.FunctionType(code.__code__, names, code.__name__, code.__defaults__, code.__closure__)(client, proxy)


class SessionLog:
    """Called by Go, from any of its threads, with every line of one session."""

    def __init__(self, session: "NeonizeSession") -> None:
        self._session = session

    def __call__(self, entry: int, size: int) -> None:
        """Pass a line on, and listen. Must not raise: that would end the process."""
        log_whatsmeow(entry, size)
        try:
            message = LogEntry.FromString(ctypes.string_at(entry, size)).Message
            if _UPLOADING.match(message):
                self._session.emit(KeysUploaded(self._session.uid))
            elif (record := lost_message(message, datetime.now(UTC))) is not None:
                self._session.keep(record, is_message=False)
        except JournalError:
            pass  # the session has left, or the next message will say what is wrong with its journal
        except Exception as error:  # noqa: BLE001 - a line that nobody understands is no reason to end
            print(f"engine: a line of the log could not be read: {type(error).__name__}", flush=True)


def lost_message(line: str, now: datetime) -> InboundUndecryptable | None:
    """The record of a message that whatsmeow has dropped because its key is used up; None for any other line."""
    found = _OLD_COUNTER.match(line)
    if found is None:
        return None
    wa_id, sender_text, chat_text = found.groups()
    try:
        sender = parse_jid(sender_text)
        chat = parse_jid(chat_text or sender_text)
    except ValueError:
        return None
    group = chat.Server == GROUP_SERVER
    return InboundUndecryptable(
        event_id=uuid.uuid4().hex,
        wa_id=wa_id,
        chat=person_text(chat),
        chat_phone=None if group else phone_of(chat),
        sender=person_text(sender),
        sender_phone=phone_of(sender),
        from_me=not group and sender.User != chat.User,
        timestamp=now,
        group=group,
        unavailable=False,
        already_decrypted=True,
    )
