"""Writes docs/configuration.md from the settings classes: `python -m whatsam_local.settings_page FILE`."""

import sys
import types
import typing
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from whatsam_api.settings import ApiSettings
from whatsam_connector.settings import ConnectorSettings
from whatsam_core.settings import PREFIX, ProcessSettings
from whatsam_operator.settings import OperatorSettings

_PARTS: tuple[tuple[str, type[ProcessSettings]], ...] = (
    ("Operator", OperatorSettings),
    ("Connector", ConnectorSettings),
    ("API", ApiSettings),
)

_HEAD = f"""# Configuration

Every process reads its settings from environment variables that begin with `{PREFIX}`, once, at start. A variable that
is missing or wrong stops the start with one line that names it (exit code 2); the value is not repeated, it may be a
secret. Durations are seconds. The operator sets most variables of a connector itself, from the WorkerPool.

This page is generated from the settings classes: `make docs`.
"""


def page() -> str:
    """The whole page as Markdown."""
    return "\n".join([_HEAD, *(_section(title, settings) for title, settings in _PARTS)])


def _section(title: str, settings: type[ProcessSettings]) -> str:
    rows = [
        f"| `{PREFIX}{name.upper()}` | {_default(field)} | {_meaning(field)} |"
        for name, field in sorted(settings.model_fields.items(), key=lambda item: (not item[1].is_required(), item[0]))
    ]
    return "\n".join([f"## {title}", "", "| variable | default | meaning |", "| --- | --- | --- |", *rows, ""])


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    value: Any = field.get_default(call_default_factory=True)
    if value is None or value in ({}, ""):
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`"


def _meaning(field: FieldInfo) -> str:
    text = " ".join((field.description or "").split()).replace("|", "\\|")
    return f"{text} Secret." if _secret(field.annotation) else text


def _secret(annotation: Any) -> bool:
    if annotation is SecretStr:
        return True
    if typing.get_origin(annotation) in (typing.Union, types.UnionType, typing.Annotated):
        return any(_secret(argument) for argument in typing.get_args(annotation))
    return False


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page())
