"""The namespace `w:mex`: queries whose body is JSON. Known: the own about text; newsletters are in `newsletters.py`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from whatsam_simulator.errors import QueryRefused
from whatsam_simulator.server.connection import result
from whatsam_simulator.server.context import Context, Link
from whatsam_simulator.server.profiles import Profiles
from whatsam_simulator.wire.node import Node, element
from whatsam_simulator.world.records import Device

SET_ABOUT = "9152604461510864"
Variables = dict[str, Any]
Answerer = Callable[[Device, Variables], Variables]


class Graph:
    """Answers by query id; what is not known gets an error as genuine servers give it, inside the answer."""

    def __init__(self, context: Context, profiles: Profiles, more: dict[str, Answerer]) -> None:
        self._context = context
        self._profiles = profiles
        self._answerers: dict[str, Answerer] = {SET_ABOUT: self._set_about, **more}

    def handle(self, link: Link, device: Device, iq: Node) -> None:
        """One query."""
        query = iq.need("query")
        number = query.text("query_id")
        try:
            variables = json.loads(query.data)["variables"]
            answerer = self._answerers.get(number)
            data = answerer(device, variables) if answerer is not None else None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise QueryRefused(400, "bad-request") from None
        if data is None:
            self._context.unknown[f"w:mex {number}"] += 1
            body: Variables = {"data": None, "errors": [_error(404, "unknown query")]}
        else:
            body = {"data": data}
        link.send(result(iq, [element("result", {}, json.dumps(body))]))

    def _set_about(self, device: Device, variables: Variables) -> Variables:
        self._profiles.set_about(device, str(variables["input"]["text"] or ""))
        return {}


def _error(code: int, message: str) -> Variables:
    return {"message": message, "extensions": {"error_code": code, "is_retryable": False, "severity": "WARNING"}}
