"""Loads neonize in this process, and listens to what it logs.

pylibmagic comes first: it brings the libmagic that neonize's import asks for. The root logger gets its handler before
neonize calls logging.basicConfig. Everything that is printed or logged goes to this process's stderr, which the
supervisor captures and redacts.
"""

import importlib
import importlib.metadata
import logging
import re
import sys
import threading
from collections.abc import Callable

DISTRIBUTION = "neonize"

_UPLOADING = re.compile(r"^Uploading \d+ new prekeys to server$")


def version() -> str:
    """Version of the installed neonize, without importing it."""
    return importlib.metadata.version(DISTRIBUTION)


def load() -> None:
    """Import neonize."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(name)s %(levelname)s %(message)s")

    import pylibmagic  # noqa: F401  # pyright: ignore[reportUnusedImport] - imported for its effect, before neonize

    # Not an import statement: it would be sorted before the one above.
    neonize_client = importlib.import_module("neonize.client")
    setattr(neonize_client, "ThreadEvent", _PatientEvent)  # noqa: B010 - a module has no such attribute for pyright


class _PatientEvent(threading.Event):
    """neonize looks five times a second whether connect() has ended, so that Ctrl-C is heard: nobody types it here."""

    def wait(self, timeout: float | None = None) -> bool:
        del timeout
        return super().wait()


def listen(on_keys_uploaded: Callable[[], None], *, debug: bool) -> None:
    """Call `on_keys_uploaded` when whatsmeow says that it uploads new prekeys. Before the first session connects.

    whatsmeow writes the keys to the store before it logs that line, and no event tells of them. `debug`: let it log
    what it sends and receives, whole stanzas that the supervisor redacts.
    """
    from neonize.utils import log as neonize_log

    # Decides what whatsmeow logs.
    neonize_log.setLevel(logging.DEBUG if debug else logging.INFO)
    if debug:
        logging.getLogger("whatsmeow").setLevel(logging.DEBUG)

    class _KeysUploaded(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            if _UPLOADING.match(record.getMessage()):
                on_keys_uploaded()
            return True

    logging.getLogger("whatsmeow.Client").addFilter(_KeysUploaded())
