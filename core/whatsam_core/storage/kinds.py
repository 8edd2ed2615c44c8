"""Which Kubernetes resources Whatsam reads or writes, and under which path.

Used by `cluster` and by its callers, who name a resource by one of the constants.
"""

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from whatsam_core import names


@dataclass(frozen=True, slots=True)
class Kind:
    """One resource type. `group` is empty for the core group."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """`apiVersion` as objects carry it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None, name: str | None = None, subresource: str | None = None) -> str:
        """URL path of the collection, of one object, or of its subresource.

        Without a namespace a namespaced kind gives the collection over all namespaces; a name needs its namespace.
        """
        if name is not None and self.namespaced and not namespace:
            raise ValueError(f"{self.plural}/{name}: a namespaced object needs its namespace")
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        parts += [part for part in (name, subresource) if part]
        return "/" + "/".join(quote(part, safe="") for part in parts)


SESSIONS: Final = Kind(names.GROUP, names.VERSION, names.SESSION_PLURAL, names.SESSION_KIND)
POOLS: Final = Kind(names.GROUP, names.VERSION, names.POOL_PLURAL, names.POOL_KIND)
LEASES: Final = Kind("coordination.k8s.io", "v1", "leases", "Lease")
PODS: Final = Kind("", "v1", "pods", "Pod")
DEPLOYMENTS: Final = Kind("apps", "v1", "deployments", "Deployment")
PDBS: Final = Kind("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
EVENTS: Final = Kind("", "v1", "events", "Event")
NODES: Final = Kind("", "v1", "nodes", "Node", namespaced=False)
SECRETS: Final = Kind("", "v1", "secrets", "Secret")
NAMESPACES: Final = Kind("", "v1", "namespaces", "Namespace", namespaced=False)
