"""`python -m whatsam_connector.shipper --socket PATH`: started by the connector, never by hand."""

import argparse
import signal
from pathlib import Path

import uvloop

from whatsam_connector import lean


def main() -> None:
    """Connect to the keeper's socket and ship until it closes."""
    parser = argparse.ArgumentParser(prog="whatsam_connector.shipper", description="Ships auth state for a connector.")
    parser.add_argument("--socket", type=Path, required=True, help="the connector's socket")
    socket = parser.parse_args().socket
    # A signal to the whole group ends the connector, which still needs us for the last states; its end is ours.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    lean.leave_out()
    from whatsam_connector.shipper.service import serve  # only now: `leave_out` comes before

    uvloop.run(serve(socket))


main()
