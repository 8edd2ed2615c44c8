"""Logs of every process: JSON lines in pods, readable ones on a terminal, and nothing private in either.

`configure` is called once by each `main`, before anything logs. Libraries that use the standard `logging` (kopf,
uvicorn, alembic) come out in the same form and pass the same redaction (`redaction`).
"""

import contextlib
import logging
import sys
from collections.abc import Generator
from typing import Any, cast

from whatsam_core.redaction import redact_event


@contextlib.contextmanager
def _without(package: str) -> Generator[None]:
    """Let an import inside find that this package is not there, unless it is loaded already."""
    if package in sys.modules:
        yield
        return
    sys.modules[package] = cast("Any", None)
    try:
        yield
    finally:
        del sys.modules[package]


# structlog loads rich where it is installed, for tracebacks that we do not draw: 5 MiB in every process of a worker.
with _without("rich"):
    import structlog
    from structlog.typing import FilteringBoundLogger, Processor


_CHATTY = ("aiohttp.access", "asyncio", "httpcore", "httpx", "urllib3", "kubernetes", "aiosqlite")
"""Libraries whose INFO is of no use to an operator."""


def configure(service: str, level: str = "INFO", json: bool | None = None) -> None:
    """Set up logging of this process; a second call replaces the first.

    `service` is on every line. `level` is the least severe level shown. `json` None means: JSON unless stdout is a
    terminal.
    """
    as_json = not sys.stdout.isatty() if json is None else json
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _named(service),
        structlog.processors.StackInfoRenderer(),
        # A traceback is text like any other: it must exist before redaction reads it.
        structlog.processors.format_exc_info,
        redact_event,
    ]
    renderer: Processor = structlog.processors.JSONRenderer(default=str) if as_json else structlog.dev.ConsoleRenderer()
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    quiet = max(logging.WARNING, logging.getLevelNamesMapping()[level])
    for name in _CHATTY:
        logging.getLogger(name).setLevel(quiet)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        # Not cached: module-level loggers are made before `configure`, and tests configure again.
        cache_logger_on_first_use=False,
    )


def get_logger(name: str | None = None, **bound: Any) -> FilteringBoundLogger:
    """A logger for one module: `_log = get_logger(__name__)`. Keyword arguments stay on each of its lines."""
    return cast("FilteringBoundLogger", structlog.get_logger(name or "whatsam", **bound))


def _named(service: str) -> Processor:
    def add(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        event["service"] = service
        return event

    return add
