"""Paths of resources."""

import pytest

from whatsam_core.storage.kinds import LEASES, NODES, PODS, SESSIONS


def test_paths() -> None:
    assert SESSIONS.path("a", "s", "status") == "/apis/whatsam.io/v1alpha1/namespaces/a/whatsappsessions/s/status"
    assert SESSIONS.path(None) == "/apis/whatsam.io/v1alpha1/whatsappsessions"
    assert PODS.path("a") == "/api/v1/namespaces/a/pods"
    assert NODES.path(None, "n") == "/api/v1/nodes/n"
    assert LEASES.api_version == "coordination.k8s.io/v1"
    assert PODS.api_version == "v1"


def test_a_name_cannot_leave_its_place() -> None:
    assert PODS.path("a", "../../secrets/x") == "/api/v1/namespaces/a/pods/..%2F..%2Fsecrets%2Fx"


def test_a_namespaced_object_needs_its_namespace() -> None:
    with pytest.raises(ValueError, match="needs its namespace"):
        PODS.path(None, "p")
