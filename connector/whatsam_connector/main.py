"""Entry point of the connector (`whatsam-connector`): settings, logs, then the lifecycle on uvloop."""

import sys

import uvloop

from whatsam_connector.factory import build
from whatsam_connector.lifecycle import ExitCode
from whatsam_connector.settings import ConnectorSettings
from whatsam_core import garbage, logging, tracing
from whatsam_core.errors import WhatsamError
from whatsam_core.settings import SettingsError, load, refuse


def main() -> None:
    """Run one boot and exit with what it came to."""
    try:
        settings = load(ConnectorSettings)
    except SettingsError as error:
        refuse(error)
    logging.configure("connector", settings.log_level)
    tracing.configure("connector", settings.traces_url, sample=settings.traces_sample)
    code = uvloop.run(_run(settings))
    tracing.shut_down()
    sys.exit(code)


async def _run(settings: ConnectorSettings) -> ExitCode:
    try:
        connector = await build(settings)
    except WhatsamError as error:
        refuse(error)
    garbage.spare_what_stays()
    return await connector.run()


if __name__ == "__main__":
    main()
