"""Keeps libraries out of an engine process that neonize imports and that no engine uses. Called before it is loaded.

neonize fetches URLs, previews links, prints QR codes and shows progress bars with them; all of that is the connector's
own affair or nobody's. Without them a process is 16 MiB smaller (of 44) and starts in half the time. Whoever calls one
of them all the same gets an error that says so.
"""

from whatsam_connector import lean

UNUSED = ("httpx", "linkpreview", "phonenumbers", "requests", "segno", "tqdm")


def leave_out() -> None:
    """From now on an import of an unused library finds a stand-in."""
    for name in UNUSED:
        lean.stand_in(name)
