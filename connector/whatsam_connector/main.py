"""Entry point of the connector (`whatsam-connector`): what it does without, its first shipper, then everything else.
With arguments it is a command (`rekey`), which loads what it needs itself.

The order matters, so the connector's own modules are imported in `main`.
"""

import sys

from whatsam_connector import lean


def main() -> None:
    """Run one boot and exit with what it came to; with arguments, do what they say."""
    if len(sys.argv) > 1:
        from whatsam_connector import rekey

        sys.exit(rekey.main(sys.argv[1:]))
    lean.few_heaps()
    lean.leave_out()
    from whatsam_connector.shipper.forked import fork_first

    shipper = fork_first()  # before anything is loaded that it does not use, and before any thread
    lean.leave_out_certificates()
    from whatsam_connector.boot import boot  # only now: it imports what `leave_out` keeps away

    boot(shipper)


if __name__ == "__main__":
    main()
