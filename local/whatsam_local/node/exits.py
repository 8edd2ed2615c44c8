"""Where reports of ended containers meet those who wait for them, in whichever order they come."""

import asyncio

from whatsam_local.node.status import Exit


class ExitRegistry:
    """Futures of container exits by container id."""

    def __init__(self, delay: float = 0) -> None:
        """`delay`: seconds until an exit counts as noticed. A real kubelet looks once a second."""
        self._delay = delay
        self._awaited: dict[str, asyncio.Future[Exit]] = {}
        self._early: dict[str, Exit] = {}

    def expect(self, identifier: str) -> asyncio.Future[Exit]:
        """The exit of a container; done already if it ended before anybody asked."""
        if identifier in self._awaited:
            return self._awaited[identifier]
        future: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        if (end := self._early.pop(identifier, None)) is not None:
            future.set_result(end)
        self._awaited[identifier] = future
        return future

    def report(self, identifier: str, end: Exit) -> None:
        """A container has ended."""
        future = self._awaited.get(identifier)
        if future is None:
            self._early[identifier] = end
        else:
            asyncio.get_running_loop().call_later(self._delay, _settle, future, end)

    def forget(self, identifier: str) -> None:
        """Nobody will ask for this container again."""
        self._awaited.pop(identifier, None)
        self._early.pop(identifier, None)


def _settle(future: asyncio.Future[Exit], end: Exit) -> None:
    if not future.done():
        future.set_result(end)
