"""Reports of ends and those who wait for them meet in either order."""

import asyncio

from whatsam_local.node.exits import ExitRegistry
from whatsam_local.node.status import Exit

END = Exit(1, 0, 5.0, False)


async def test_waiting_before_and_after_the_end() -> None:
    exits = ExitRegistry()
    first = exits.expect("a")
    exits.report("a", END)
    assert await asyncio.wait_for(first, 5) == END
    exits.report("b", END)
    assert await asyncio.wait_for(exits.expect("b"), 5) == END


async def test_a_second_report_changes_nothing() -> None:
    exits = ExitRegistry()
    future = exits.expect("a")
    exits.report("a", END)
    exits.report("a", Exit(2, 0, 6.0, False))
    assert await asyncio.wait_for(future, 5) == END
    assert exits.expect("a") is future


async def test_an_end_is_noticed_late_when_asked_so() -> None:
    exits = ExitRegistry(delay=0.01)
    future = exits.expect("a")
    exits.report("a", END)
    assert not future.done()
    assert await asyncio.wait_for(future, 5) == END


async def test_a_forgotten_container_is_new_again() -> None:
    exits = ExitRegistry()
    exits.report("a", END)
    exits.forget("a")
    assert not exits.expect("a").done()
