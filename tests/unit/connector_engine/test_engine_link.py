"""The child's end of the socket never makes a handler of WhatsApp's events wait."""

import socket
import threading
from pathlib import Path

from whatsam_connector.engine.events import JournalAdvanced
from whatsam_connector.engine.link import Link
from whatsam_connector.engine.protocol import EventFrame, for_parent
from whatsam_connector.engine.wire import LENGTH
from whatsam_connector.journal import Position

LIMIT_SECONDS = 20
EVENTS = 8_000
"""A megabyte: far more than a socket's buffer."""


def test_a_supervisor_that_does_not_read_holds_up_no_handler_and_hears_everything_later(tmp_path: Path) -> None:
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "s"))
    listening.listen()
    link = Link(str(tmp_path / "s"))
    supervisor, _ = listening.accept()
    supervisor.settimeout(LIMIT_SECONDS)

    def handlers() -> None:
        for number in range(EVENTS):
            link.send(EventFrame(JournalAdvanced("u", Position(1, number), 0.0)))

    handling = threading.Thread(target=handlers, daemon=True)
    handling.start()
    handling.join(LIMIT_SECONDS)
    assert not handling.is_alive()

    stream = supervisor.makefile("rb")
    for number in range(EVENTS):
        (length,) = LENGTH.unpack(stream.read(LENGTH.size))
        assert for_parent.decode(stream.read(length)).event.position.offset == number
