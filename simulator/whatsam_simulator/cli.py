"""The command `whatsam-simulator`: `serve` runs a simulator, the other commands talk to a running one."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import TypeAdapter

from whatsam_simulator.client import ControlError, SimulatorClient
from whatsam_simulator.control.models import ServerInfo, Started
from whatsam_simulator.errors import SimulatorError

application = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
Url = Annotated[str, typer.Option(help="The control API", envvar="WHATSAM_SIMULATOR_URL")]
Phone = Annotated[str, typer.Option(help="Phone number, digits with country code")]


@application.command()
def serve(
    *,
    host: Annotated[str, typer.Option(help="Address to listen on")] = "127.0.0.1",
    tls_port: Annotated[int, typer.Option(help="HTTPS site; 0 takes a free port")] = 0,
    proxy_port: Annotated[int, typer.Option(help="CONNECT proxy for clients")] = 0,
    control_port: Annotated[int, typer.Option(help="Control API")] = 0,
    state: Annotated[Path, typer.Option(help="Directory for keys and paired devices")] = Path("simulator-state"),
    root_key_file: Annotated[
        Path | None, typer.Option(help="Private key of the Noise root, 64 hex digits; made if missing")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Say where it listens as one line of JSON, as always when not on a terminal")
    ] = False,
    verbose: Annotated[bool, typer.Option(help="Log more")] = False,
) -> None:
    """Runs a simulator until SIGTERM or Ctrl-C."""
    from whatsam_simulator.serve import serve as run
    from whatsam_simulator.simulation import Options

    logging.basicConfig(level=logging.DEBUG if verbose else logging.INFO, format="%(levelname)s %(name)s %(message)s")
    options = Options(host, tls_port, proxy_port, control_port, state, root_key_file)

    def started(info: ServerInfo) -> None:
        if as_json or not sys.stdout.isatty():
            typer.echo(Started.of(info).model_dump_json(by_alias=True))
        else:
            typer.echo(f"control API  {info.control_url}/docs")
            typer.echo(f"proxy        {info.proxy_url}   (HTTPS_PROXY of clients)")
            typer.echo(f"CA           {info.ca_file}   (SSL_CERT_FILE of clients)")
            typer.echo(f"root key     {info.root_key}   (WHATSAM_SIMULATOR_ROOT of clients)")

    try:
        _runner()(run(options, started))
    except (OSError, SimulatorError) as error:
        typer.echo(f"whatsam-simulator: {error}", err=True)
        raise typer.Exit(1) from None


@application.command()
def scan(url: Url, phone: Phone, qr: Annotated[str, typer.Option(help="Text of the QR code")]) -> None:
    """The phone scans the QR code that a client shows."""
    with _client(url) as client:
        _show(client.scan(phone, qr))


@application.command()
def code(url: Url, phone: Phone, code: Annotated[str, typer.Option(help="Pairing code")]) -> None:
    """Types a pairing code into the phone."""
    with _client(url) as client:
        _show(client.enter_pairing_code(phone, code))


@application.command()
def say(
    url: Url,
    sender: Annotated[str, typer.Option("--from", help="Number of the contact that writes; made if missing")],
    to: Annotated[str, typer.Option(help="Number of the phone that gets it, or a group's id with @g.us")],
    text: Annotated[str, typer.Option(help="What it writes")],
) -> None:
    """A contact writes a message."""
    with _client(url) as client:
        client.contact(sender)
        message_id = client.say_to_group(sender, to, text) if to.endswith("@g.us") else client.say(sender, to, text)
        typer.echo(json.dumps({"id": message_id}))


@application.command()
def inbox(url: Url, phone: Phone, after: Annotated[int, typer.Option(help="Sequence to start after")] = 0) -> None:
    """What a phone or contact has got, one JSON object per line."""
    with _client(url) as client:
        for message in client.inbox(phone, after):
            _show(message)


@application.command()
def journal(
    url: Url,
    part: Annotated[str, typer.Argument(help="holders, messages, counters, violations or stanzas")] = "violations",
) -> None:
    """Reads the journal, one JSON object per line."""
    with _client(url) as client:
        parts = {
            "holders": client.holders,
            "messages": client.message_events,
            "counters": client.counters,
            "violations": client.violations,
            "stanzas": client.stanzas,
        }
        if part not in parts:
            raise typer.BadParameter(f"one of {', '.join(parts)}", param_hint="part")
        for entry in parts[part]():
            _show(entry)


def _runner() -> Callable[[Coroutine[Any, Any, None]], None]:
    """uvloop where it is installed: it takes about a fifth of the CPU time off each message."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run
    return uvloop.run


class _ClientOrExit:
    """A client whose refusals become one line on standard error and exit code 1."""

    def __init__(self, url: str) -> None:
        self._client = SimulatorClient(url)

    def __enter__(self) -> SimulatorClient:
        return self._client

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        self._client.close()
        if isinstance(error, (ControlError, OSError)) or (kind is not None and kind.__module__.startswith("httpx")):
            typer.echo(f"whatsam-simulator: {error}", err=True)
            raise typer.Exit(1)


def _client(url: str) -> _ClientOrExit:
    return _ClientOrExit(url)


def _show(entry: object) -> None:
    typer.echo(TypeAdapter(type(entry)).dump_json(entry))


def main() -> None:
    """Entry point of the console script."""
    application()
