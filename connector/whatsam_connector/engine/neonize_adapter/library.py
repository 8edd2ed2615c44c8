"""Loads neonize in this process.

pylibmagic comes first: it brings the libmagic that neonize's import asks for. The root logger gets its handler before
neonize calls logging.basicConfig. Everything that is printed or logged goes to this process's stderr, which the
supervisor captures and redacts.
"""

import importlib
import importlib.metadata
import logging
import sys
import threading

from whatsam_connector.engine.neonize_adapter.lean import leave_out

DISTRIBUTION = "neonize"


def version() -> str:
    """Version of the installed neonize, without importing it."""
    return importlib.metadata.version(DISTRIBUTION)


def load() -> None:
    """Import neonize."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(name)s %(levelname)s %(message)s")

    leave_out()
    import pylibmagic  # noqa: F401  # pyright: ignore[reportUnusedImport] - imported for its effect, before neonize

    # Not an import statement: it would be sorted before the one above.
    neonize_client = importlib.import_module("neonize.client")
    setattr(neonize_client, "ThreadEvent", _PatientEvent)  # noqa: B010 - a module has no such attribute for pyright


class _PatientEvent(threading.Event):
    """neonize looks five times a second whether connect() has ended, so that Ctrl-C is heard: nobody types it here."""

    def wait(self, timeout: float | None = None) -> bool:
        del timeout
        return super().wait()


def set_level(*, debug: bool) -> None:
    """Decide what whatsmeow logs, before the first session connects.

    `debug`: what it sends and receives too, whole stanzas that the supervisor redacts.
    """
    from neonize.utils import log as neonize_log

    neonize_log.setLevel(logging.DEBUG if debug else logging.INFO)
    if debug:
        logging.getLogger("whatsmeow").setLevel(logging.DEBUG)
