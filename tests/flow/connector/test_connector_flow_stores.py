"""What health says about the stores is what was seen in the background; a hanging store holds nobody up."""

import asyncio

from connector_virtual import run, until

from whatsam_connector.http.stores import Stores


class Store:
    """A store that answers as it is told."""

    def __init__(self) -> None:
        self.alive = False

    async def __call__(self) -> bool:
        await asyncio.sleep(0.1)
        return self.alive


def test_started_is_said_once_the_object_store_has_answered_and_stays() -> None:
    async def story() -> None:
        database, objects = Store(), Store()
        stores = Stores(database, objects)
        assert (stores.database, stores.objects, stores.started) == (None, None, False)
        watching = asyncio.create_task(stores.watch())
        await until(lambda: stores.objects is False)
        assert not stores.started
        objects.alive = True
        await until(lambda: stores.started)
        objects.alive = False
        await until(lambda: stores.objects is False)
        assert stores.started
        assert stores.database is False
        watching.cancel()

    run(story())
