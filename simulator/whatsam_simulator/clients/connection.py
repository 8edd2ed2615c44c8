"""The HTTP connection below the control API's Python client."""

from __future__ import annotations

from typing import TypeVar

import httpx
from pydantic import BaseModel

from whatsam_simulator.errors import SimulatorError

Answer = TypeVar("Answer", bound=BaseModel)
REQUEST_SECONDS = 120
"""A batch of ten thousand messages takes some seconds."""


class ControlError(SimulatorError):
    """The control API has refused a request."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"{status}: {detail}")
        self.status = status


class ControlConnection:
    """Asks the control API; answers become models, refusals `ControlError`."""

    def __init__(self, url: str) -> None:
        # A proxy in the environment is meant for clients of WhatsApp, never for the control API.
        self._http = httpx.Client(base_url=url, timeout=REQUEST_SECONDS, trust_env=False)

    def close(self) -> None:
        self._http.close()

    def _ask(self, method: str, path: str, body: object = None, **query: str | int | bool | None) -> httpx.Response:
        params = {name: value for name, value in query.items() if value is not None}
        response = self._http.request(method, path, json=body, params=params)
        if response.is_error:
            raise ControlError(response.status_code, response.text)
        return response

    def _get(self, answer: type[Answer], path: str, **query: str | int | bool | None) -> Answer:
        return answer.model_validate_json(self._ask("GET", path, **query).content)

    def _post(self, answer: type[Answer], path: str, body: object = None) -> Answer:
        return answer.model_validate_json(self._ask("POST", path, body).content)

    def _put(self, answer: type[Answer], path: str, body: object = None) -> Answer:
        return answer.model_validate_json(self._ask("PUT", path, body).content)
