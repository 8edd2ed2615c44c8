"""Loads neonize in this process, and listens to what it logs.

pylibmagic comes first: it brings the libmagic that neonize's import asks for. The root logger gets its handler before
neonize calls logging.basicConfig. Everything that is printed or logged goes to this process's stderr, which the
supervisor captures and redacts.
"""

import importlib.metadata
import logging
import re
import sys
from collections.abc import Callable

DISTRIBUTION = "neonize"

_UPLOADING = re.compile(r"^Uploading \d+ new prekeys to server$")


def version() -> str:
    """Version of the installed neonize, without importing it."""
    return importlib.metadata.version(DISTRIBUTION)


def load(on_keys_uploaded: Callable[[], None]) -> None:
    """Import neonize; `on_keys_uploaded` is called when whatsmeow says that it uploads new prekeys.

    whatsmeow writes the keys to the store before it logs that line, and no event tells of them.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(name)s %(levelname)s %(message)s")

    import pylibmagic  # noqa: F401  # pyright: ignore[reportUnusedImport] - imported for its effect, before neonize
    from neonize.utils import log as neonize_log

    neonize_log.setLevel(logging.INFO)  # decides what whatsmeow logs; its debug lines hold whole stanzas

    class _KeysUploaded(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            if _UPLOADING.match(record.getMessage()):
                on_keys_uploaded()
            return True

    logging.getLogger("whatsmeow.Client").addFilter(_KeysUploaded())
