"""Who waits for a message hears of it, whenever it was settled."""

from uuid import uuid4

from whatsam_connector.messages import waiters as module
from whatsam_connector.messages.rows import MessageView
from whatsam_connector.messages.waiters import Waiters


def _view(status: str) -> MessageView:
    return MessageView(uuid4(), status, "WA-1" if status == "sent" else None, None, None)


async def test_told_while_waiting() -> None:
    waiters, view = Waiters(), _view("sent")
    with waiters.waiting(view.id) as one, waiters.waiting(view.id) as other:
        waiters.settled(view.id, view)
        assert await one.wait(0)
        assert await other.wait(0)
        assert one.view is other.view is view


async def test_a_call_that_comes_after_its_message_was_sent_does_not_wait() -> None:
    waiters, view = Waiters(), _view("sent")
    waiters.settled(view.id, view)
    with waiters.waiting(view.id) as late:
        assert await late.wait(0)
        assert late.view is view


async def test_what_may_change_is_not_remembered() -> None:
    waiters, failed, unknown = Waiters(), _view("failed"), uuid4()
    waiters.settled(failed.id, failed)
    waiters.settled(unknown)
    for message in (failed.id, unknown):
        with waiters.waiting(message) as late:
            assert not await late.wait(0)


async def test_only_the_latest_are_remembered() -> None:
    waiters, first = Waiters(), _view("sent")
    waiters.settled(first.id, first)
    for _ in range(module.REMEMBERED):
        newer = _view("sent")
        waiters.settled(newer.id, newer)
    with waiters.waiting(first.id) as forgotten:
        assert not forgotten.told
