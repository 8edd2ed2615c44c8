"""Entry point of the connector (`whatsam-connector`): what it does without, then everything else.

The order matters, so the connector's own modules are imported in `main`.
"""

from whatsam_connector import lean


def main() -> None:
    """Run one boot and exit with what it came to."""
    lean.few_heaps()
    lean.leave_out()
    from whatsam_connector.boot import boot  # only now: it imports what `leave_out` keeps away

    boot()


if __name__ == "__main__":
    main()
