"""The page that compares the engines is the table that the flow tests read, and each of its tests exists."""

import ast
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

_CHECKOUT = Path(__file__).parents[3]
_FOLDER = _CHECKOUT / "tests/flow/connector_engine"


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of the flow tests."""
    monkeypatch.syspath_prepend(str(_FOLDER))
    spec = importlib.util.spec_from_file_location("engine_differences", _FOLDER / "engine_differences.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "engine_differences", module)
    spec.loader.exec_module(module)
    return module


def _tests(file: Path) -> set[str]:
    tree = ast.parse(file.read_text())
    functions = (node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {function.name for function in functions if function.name.startswith("test_")}


def test_the_page_is_the_table(table: ModuleType) -> None:
    assert (_CHECKOUT / "docs/engines-compared.md").read_text() == table.page(), "run `make docs`"


def test_every_difference_is_shown_by_a_test(table: ModuleType) -> None:
    assert table.DIFFERENCES
    for difference in table.DIFFERENCES:
        file, _, name = difference.test.partition("::")
        assert name in _tests(_FOLDER / file), difference.test


def test_every_difference_is_one_and_is_told_once(table: ModuleType) -> None:
    features = [difference.feature for difference in table.DIFFERENCES]
    assert len(set(features)) == len(features)
    for difference in table.DIFFERENCES:
        neonize, whatsmeow = difference.expected
        assert neonize != whatsmeow, difference.feature


def test_every_difference_is_read_by_a_test_or_by_a_file_of_one_engine(table: ModuleType) -> None:
    sources = {file.name: file.read_text() for file in _FOLDER.glob("test_*.py")}
    for name, value in vars(table).items():
        if isinstance(value, table.Difference):
            read = any(name in source for source in sources.values())
            assert read or "pytestmark = pytest.mark.only_engine" in sources[value.test.partition("::")[0]], name
