"""Journals that a dead boot of this pod left behind: what WhatsApp gave away is taken over, whoever runs the session.

A container that restarts in place finds the files of the boot before. Its sessions may run elsewhere by now; their
messages are rows without an owner's decision, so they may be written by anybody, at any time, and once.
"""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

from whatsam_connector.messages.inbox import Inbox, MessageSink
from whatsam_connector.messages.inbox_owner import InboxOwner
from whatsam_connector.messages.receipts import UnknownReceipts
from whatsam_core.logging import get_logger

_log = get_logger(__name__)

_PERIOD = 60.0
"""Seconds between looks: a session that ended while the database was away leaves a journal, too."""
_LIMIT = 10.0
"""Seconds for one journal before the next one has its turn."""


async def take_over_for_ever(root: Path, sink: MessageSink, running: Callable[[], set[str]]) -> None:
    """Empty the journals below `root` of sessions that do not run here."""
    while True:
        for folder in await asyncio.to_thread(_folders, root):
            if folder.name not in running():
                await _take_over(folder, sink)
        await asyncio.sleep(_PERIOD)


async def _take_over(folder: Path, sink: MessageSink) -> None:
    owner = await asyncio.to_thread(_owner, folder)
    if owner is None:
        return
    taken: list[int] = []
    inbox = Inbox(owner, folder / "journal", sink, UnknownReceipts(), count=lambda _kind, number: taken.append(number))
    if not await inbox.drain(_LIMIT):
        _log.warning("leftovers.waiting", session=owner.session)
    elif taken:
        _log.info("leftovers.taken_over", session=owner.session, records=sum(taken))


def _folders(root: Path) -> list[Path]:
    try:
        return [folder for folder in root.iterdir() if (folder / "journal").is_dir()]
    except FileNotFoundError:
        return []


def _owner(folder: Path) -> InboxOwner | None:
    try:
        return InboxOwner.read(json.loads((folder / "owner.json").read_text()))
    except (OSError, ValueError, KeyError, TypeError):
        return None  # it died before its first engine: there is no journal worth the name
