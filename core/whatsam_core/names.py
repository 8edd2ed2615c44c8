"""Names that the parts agree on: API group, plurals, labels, annotations, finalizers.

Everything that reads or writes Kubernetes objects takes them from here, so that a name exists once.
"""

from typing import Final

GROUP: Final = "whatsam.io"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"

SESSION_KIND: Final = "WhatsAppSession"
SESSION_PLURAL: Final = "whatsappsessions"
POOL_KIND: Final = "WorkerPool"
POOL_PLURAL: Final = "workerpools"

FINALIZER_OPERATOR: Final = f"{GROUP}/operator"
"""On every session and pool: the operator stops what runs and cleans up before the object may go."""
FINALIZER_API: Final = f"{GROUP}/api"
"""On sessions of known tenants: the API ends the session's rows after the operator has let go."""

LABEL_POOL: Final = f"{GROUP}/pool"
LABEL_TENANT: Final = f"{GROUP}/tenant"
LABEL_COMPONENT: Final = "app.kubernetes.io/component"

COMPONENT_OPERATOR: Final = "operator"
COMPONENT_CONNECTOR: Final = "connector"
COMPONENT_API: Final = "api"
COMPONENT_CONNECTOR_LEASE: Final = "connector-lease"

CONNECTOR_CONTAINER: Final = "connector"
"""Name of the container in a connector pod whose end proves the death of its boot."""

ANNOTATION_CORDON: Final = f"{GROUP}/cordon"
"""On a connector pod: it gets no new sessions. With the value `drain` it gives those that it has away, too."""
CORDON_DRAIN: Final = "drain"
CORDON_SCALE_DOWN: Final = "scale-down"
"""The same as `drain`, written by the operator: the pod goes when it is empty. It takes its own word back, no other."""
ANNOTATION_MIGRATE_TO: Final = f"{GROUP}/migrate-to"
"""On a session: move it to the connector pod of this name. Taken away when that is done, or cannot be done."""
ANNOTATION_TEMPLATE: Final = f"{GROUP}/template"
"""On a connector pod: which template of its pool it was made from."""
ANNOTATION_POD_DELETION_COST: Final = "controller.kubernetes.io/pod-deletion-cost"

LEASE_POD_NAME: Final = f"{GROUP}/pod-name"
LEASE_POD_UID: Final = f"{GROUP}/pod-uid"
LEASE_BOOT_ID: Final = f"{GROUP}/boot-id"
LEASE_ENDPOINT: Final = f"{GROUP}/endpoint"
LEASE_STATE: Final = f"{GROUP}/lease-state"
LEASE_ENGINE_VERSION: Final = f"{GROUP}/engine-version"
LEASE_SESSIONS: Final = f"{GROUP}/sessions"
LEASE_CPU: Final = f"{GROUP}/cpu"
LEASE_MEMORY: Final = f"{GROUP}/memory"
"""Percent of what the worker may use, lately; missing while it is not known."""

CONNECTOR_AUDIENCE: Final = "whatsam-connector"
"""Audience of the service-account tokens that callers show to a connector."""
