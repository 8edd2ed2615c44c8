"""The Go engine has the methods of `engine.methods`, with their lanes and time limits."""

import json
from pathlib import Path

from whatsam_connector.engine.methods import METHODS

_WRITTEN = Path(__file__).parents[3] / "engine-go/internal/calls/testdata/methods.json"
"""By `go test ./internal/calls -update`; the Go test compares it with the tables that are used."""


def test_the_go_engine_has_each_method() -> None:
    assert json.loads(_WRITTEN.read_text()) == {
        method.name: {
            "lane": method.lane.value,
            "seconds": method.timeout_seconds,
            "changes": method.changes,
            "pairing": method.pairing,
        }
        for method in METHODS.values()
    }
