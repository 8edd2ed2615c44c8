"""Shared names for the plain dictionaries that travel between the API server and the node."""

from typing import Any

Json = dict[str, Any]
"""A Kubernetes object or a part of one, as decoded from JSON. Models would cost five times as much per status patch."""
