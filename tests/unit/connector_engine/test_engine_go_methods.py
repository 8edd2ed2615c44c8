"""The Go engine has the methods of `engine.methods`, and knows as well which of them change something."""

import json
from pathlib import Path

from whatsam_connector.engine.methods import METHODS

_WRITTEN = Path(__file__).parents[3] / "engine-go/internal/calls/testdata/methods.json"
"""By `go test ./internal/calls -update`; the Go test compares it with the table that is used."""


def test_the_go_engine_has_each_method() -> None:
    assert json.loads(_WRITTEN.read_text()) == {method.name: method.changes for method in METHODS.values()}
