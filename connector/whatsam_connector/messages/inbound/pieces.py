"""A large batch as several that are written one after another. Pure; for the inbox, which history can overwhelm."""

from collections.abc import Iterator
from dataclasses import replace

from whatsam_connector.messages.batch import Batch

_MOST = 500
"""Messages, or people, in one transaction: it has to end within the database's time limit."""


def pieces(batch: Batch) -> Iterator[Batch]:
    """Batches that together have the effect of this one, whatever ends between them.

    The first makes the chats, the last has everything that refers to the messages; each may be written again.
    """
    if len(batch.messages) <= _MOST and len(batch.contacts) <= _MOST:
        yield batch
        return
    yield Batch(chats=batch.chats)
    for start in range(0, len(batch.contacts), _MOST):
        yield Batch(contacts=batch.contacts[start : start + _MOST])
    for start in range(0, len(batch.messages), _MOST):
        yield Batch(messages=batch.messages[start : start + _MOST])
    rest = replace(batch, messages=(), contacts=(), chats=())
    if rest:
        yield rest
