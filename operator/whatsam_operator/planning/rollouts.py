"""Which pods will a rollout of their pool replace? Pure; called once for each plan.

What moves during a rollout must go to a pod of the newest template: else it would move again.
"""

from whatsam_operator.planning.snapshot import Snapshot


def outdated(snapshot: Snapshot) -> frozenset[str]:
    """UIDs of the pods that were made from an older template than their pool's Deployment has now."""
    newest = {
        key: known.template
        for key, known in snapshot.deployments.items()
        if (pool := snapshot.pools.get(key)) is not None and known.owner_uid == pool.metadata.uid
    }
    return frozenset(
        pod.uid
        for pod in snapshot.pods.values()
        if (template := newest.get((pod.namespace, pod.pool))) is not None and pod.template != template
    )
