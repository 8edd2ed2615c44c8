"""What can go wrong with the local cluster, for whoever calls its services.

LocalError
├── MachineUnfitError       this machine lacks something; the text says what, why and what to do
├── BuildFailedError        the control plane could not be built
├── ClusterNotRunningError  a command needs the cluster, and none of this checkout runs
├── UnknownPartError        no part of that name
└── PartFailedError         a part ended, or did not become ready in time
"""

from whatsam_core.errors import WhatsamError


class LocalError(WhatsamError):
    """A foreseen failure of the local cluster."""


class MachineUnfitError(LocalError):
    """This machine lacks something the cluster needs."""


class BuildFailedError(LocalError):
    """The control plane could not be built."""


class ClusterNotRunningError(LocalError):
    """A command needs the cluster, and none of this checkout runs."""


class UnknownPartError(LocalError):
    """No part of the cluster has that name."""


class PartFailedError(LocalError):
    """A part ended, or did not become ready in time."""
