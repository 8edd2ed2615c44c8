"""`python -m whatsam_connector.shipper --socket PATH`: started by the connector, never by hand."""

import argparse
from pathlib import Path

from whatsam_connector import lean
from whatsam_connector.shipper.process import run


def main() -> None:
    """Connect to the keeper's socket and ship until it closes."""
    parser = argparse.ArgumentParser(prog="whatsam_connector.shipper", description="Ships auth state for a connector.")
    parser.add_argument("--socket", type=Path, required=True, help="the connector's socket")
    socket = parser.parse_args().socket
    lean.leave_out()
    run(socket)


main()
