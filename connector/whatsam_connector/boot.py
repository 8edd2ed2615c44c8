"""One boot of the connector: settings, logs, then the lifecycle on uvloop. Called by `main`."""

import asyncio
import sys

import uvloop

from whatsam_connector import lean
from whatsam_connector.factory import build
from whatsam_connector.lifecycle import ExitCode
from whatsam_connector.settings import ConnectorSettings
from whatsam_connector.shipper.forked import ForkedShipper
from whatsam_core import garbage, logging, tracing
from whatsam_core.errors import WhatsamError
from whatsam_core.settings import SettingsError, load, refuse


def boot(first_shipper: ForkedShipper | None) -> None:
    """Run it and exit with what it came to."""
    try:
        settings = load(ConnectorSettings)
    except SettingsError as error:
        refuse(error)
    logging.configure("connector", settings.log_level)
    tracing.configure("connector", settings.traces_url, sample=settings.traces_sample)
    code = uvloop.run(_run(settings, first_shipper))
    tracing.shut_down()
    sys.exit(code)


async def _run(settings: ConnectorSettings, first_shipper: ForkedShipper | None) -> ExitCode:
    try:
        connector = await build(settings, first_shipper=first_shipper)
    except WhatsamError as error:
        refuse(error)
    garbage.spare_what_stays()
    giving_back = asyncio.create_task(lean.give_back_for_ever(), name="memory")
    try:
        return await connector.run()
    finally:
        giving_back.cancel()
