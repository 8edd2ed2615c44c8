"""Quantities are exact, and division rounds up."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatsam_local.node.errors import ConfigError
from whatsam_local.node.quantity import divided, parse_quantity


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("200Mi", 200 * 2**20),
        ("1500m", "1.5"),
        ("0.5", "0.5"),
        ("2e3", 2000),
        ("1E", 10**18),
        ("1E3", 1000),
        ("3k", 3000),
        ("1Ti", 2**40),
        (".5", "0.5"),
        (8, 8),
        ("100n", "1e-7"),
    ],
)
def test_known_quantities(text: str | int, number: int | str) -> None:
    assert parse_quantity(text) == Decimal(number)


@pytest.mark.parametrize("text", ["", "Mi", "1 Mi", "1KI", "one", "1mi", "--1"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_quantity(text)


@given(st.integers(0, 10**9), st.sampled_from(["", "k", "M", "Ki", "Mi", "Gi"]), st.integers(1, 10**6))
def test_division_rounds_up_to_the_next_whole_number(number: int, suffix: str, divisor: int) -> None:
    value = parse_quantity(f"{number}{suffix}")
    result = divided(f"{number}{suffix}", divisor)
    assert (result - 1) * divisor < value <= result * divisor


@given(st.integers(-(10**6), 10**6))
def test_thousandths_are_exact(number: int) -> None:
    assert parse_quantity(f"{number}m") * 1000 == number
