"""What an answer of the API server means to the caller."""

import json

import pytest

from whatsam_core.errors import WhatsamError
from whatsam_core.storage.cluster_errors import (
    AlreadyExists,
    ClusterError,
    Conflict,
    Expired,
    Forbidden,
    Invalid,
    NotFound,
    Unauthorized,
    Unreachable,
    error_of,
)


def status(code: int, reason: str, message: str = "why", **details: object) -> bytes:
    return json.dumps({"kind": "Status", "code": code, "reason": reason, "message": message, **details}).encode()


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (400, "BadRequest", Invalid),
        (401, "Unauthorized", Unauthorized),
        (403, "Forbidden", Forbidden),
        (404, "NotFound", NotFound),
        (405, "MethodNotAllowed", ClusterError),
        (408, "Timeout", Unreachable),
        (409, "Conflict", Conflict),
        (409, "AlreadyExists", AlreadyExists),
        (410, "Expired", Expired),
        (422, "Invalid", Invalid),
        (429, "TooManyRequests", Unreachable),
        (500, "InternalError", Unreachable),
        (503, "ServiceUnavailable", Unreachable),
        (504, "Timeout", Unreachable),
    ],
)
def test_each_status_has_its_meaning(code: int, reason: str, kind: type[ClusterError]) -> None:
    error = error_of(code, status(code, reason), what="PATCH /x")
    assert type(error) is kind
    assert (error.status, str(error)) == (code, "PATCH /x: why")
    assert isinstance(error, WhatsamError)


def test_a_uid_that_does_not_match_is_a_conflict_although_answered_as_invalid() -> None:
    body = status(422, "Invalid", details={"causes": [{"field": "metadata.uid", "message": "field is immutable"}]})
    assert type(error_of(422, body, what="PATCH /x")) is Conflict


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b"\xff\xfe", b'"text"'])
def test_an_answer_that_is_no_status_is_no_accident(body: bytes) -> None:
    assert str(error_of(502, body, what="GET /x")) == "GET /x: HTTP 502"


def test_the_wait_that_the_server_asks_for_is_kept() -> None:
    assert error_of(429, b"", what="GET /x", retry_after=3.0).retry_after == 3.0
