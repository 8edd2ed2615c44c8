"""What a shipper process is, however it was started: from `__main__`, or forked off the connector."""

import importlib
import signal
from pathlib import Path


def keep_going() -> None:
    """A signal to the whole group ends the connector, which still needs us for the last states; its end is ours."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def load() -> None:
    """Import everything that a shipper uses. After `lean.leave_out`."""
    for name in ("uvloop", "whatsam_connector.shipper.service"):
        importlib.import_module(name)


def run(socket: Path) -> None:
    """Connect to the keeper's socket and ship until it closes."""
    keep_going()
    import uvloop

    from whatsam_connector.shipper.service import serve  # not at the top: `leave_out` comes before

    uvloop.run(serve(socket))
