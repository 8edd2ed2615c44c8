"""Kubernetes quantities ("200Mi", "1500m", "2e3") as exact numbers. Pure; used for limits and the downward API."""

import re
from decimal import ROUND_CEILING, Decimal

from whatsam_local.node.errors import ConfigError

_SUFFIXES: dict[str, Decimal] = {
    "": Decimal(1),
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    **{unit: Decimal(1000) ** power for power, unit in enumerate("kMGTPE", 1)},
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", 1)},
}
_PATTERN = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)([a-zA-Z]*)")


def parse_quantity(text: str | int | float) -> Decimal:
    """The number a quantity stands for. Raises `ConfigError` for anything that is not a quantity."""
    match = _PATTERN.fullmatch(str(text))
    if match is None or match[2] not in _SUFFIXES:
        raise ConfigError(f"{text!r} is not a quantity")
    return Decimal(match[1]) * _SUFFIXES[match[2]]


def divided(value: str | int | float, divisor: str | int | float) -> int:
    """`value / divisor`, rounded up, as `resourceFieldRef` wants it. A divisor of zero counts as one."""
    return int((parse_quantity(value) / (parse_quantity(divisor) or Decimal(1))).to_integral_value(ROUND_CEILING))
