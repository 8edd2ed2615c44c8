"""Errors of the operator.

WhatsamError (core)
  OperatorError          foreseen failures of the operator
    NotLeader            this process may not write: another one may already lead
    StalePlan            what the decision was based on has changed: plan again
    StateIsForeign       the state in the object store belongs to another tenant: it is neither used nor destroyed
"""

from whatsam_core.errors import WhatsamError


class OperatorError(WhatsamError):
    """A foreseen failure of the operator."""


class NotLeader(OperatorError):
    """This process may not write any more (or not yet)."""


class StalePlan(OperatorError):
    """The world has moved on since the plan was made. Nothing was written; the next plan decides again."""


class StateIsForeign(OperatorError):
    """The state under a session's prefix belongs to another tenant."""
