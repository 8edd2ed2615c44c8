"""The admission policies of the installation, as the API server of the world applies them.

The real ones are tested against a real API server (`tests/cluster/test_resources_holder.py`).
"""

from typing import Any

from whatsam_core.lease import LeaseRecord, LeaseState

Json = dict[str, Any]
_OPERATORS = ("epoch", "assignment", "next", "migrations")


def admits_status(before: Json, after: Json, pod_uid: str) -> bool:
    """whatsam-sessions-holder: the pod that holds the session, and not what says who holds it."""
    holder = (before.get("assignment") or {}).get("podUID", "")
    handover = after.get("handover")
    return (
        pod_uid == holder
        and all(before.get(name) == after.get(name) for name in _OPERATORS)
        and (handover in (None, before.get("handover")) or handover.get("epoch") == before.get("epoch"))
    )


def admits_successor(before: Json, after: Json, pod_uid: str) -> bool:
    """The same policy: the pod that is named as the successor says that it is prepared, and nothing else."""
    old, new = before.get("next") or {}, after.get("next") or {}
    return (
        pod_uid == old.get("podUID", "")
        and {**before, "next": None} == {**after, "next": None}
        and {**old, "preparedAt": None} == {**new, "preparedAt": None}
    )


def admits_lease(before: LeaseRecord, after: LeaseRecord) -> bool:
    """whatsam-leases-holder: one pod, one boot, and what is over stays over."""
    over = before.state in (LeaseState.REVOKED, LeaseState.RELEASED)
    return (
        before.pod_uid == after.pod_uid
        and before.boot_id == after.boot_id
        and (not over or after.state is before.state)
    )
