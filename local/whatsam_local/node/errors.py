"""The node's exception tree. All of it derives from `WhatsamError`."""

from typing import Any

from whatsam_core.errors import WhatsamError

Body = dict[str, Any] | str


class NodeError(WhatsamError):
    """Root of what the process node raises on purpose."""


class ApiError(NodeError):
    """The API server refused a request. `status` is the HTTP status, `body` the Status object or the text."""

    def __init__(self, status: int, body: Body) -> None:
        text = f"{body.get('reason', '')}: {body.get('message', '')}" if isinstance(body, dict) else body
        super().__init__(f"{status} {text}")
        self.status = status
        self.body = body


class ConfigError(NodeError):
    """The container cannot be created until something else changes (kubelet: CreateContainerConfigError)."""


class ImageError(ConfigError):
    """The image is not in the image table and the container has no command (kubelet: ImagePullBackOff)."""


class RuntimeRefused(NodeError):
    """The runtime could not do what it was asked for; the text is its own."""


class NoSuchPod(NodeError):
    """The runtime runs nothing that matches the request."""


class RequirementMissing(NodeError):
    """This machine lacks something the node cannot do without; the text says what to install or change, and why."""
