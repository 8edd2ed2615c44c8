"""Events about what a holder says of its session and a person should know: bans, logouts, states that are gone.

The holder writes conditions, and Events only of what no condition shows. Called by the
planner for sessions that are held; each text becomes an Event once in a term of leadership.
"""

from typing import Final

from whatsam_core.resources import ConditionType, Phase
from whatsam_operator.planning.case import Case
from whatsam_operator.planning.decisions import Decision, Story, Tell

TOLD: Final = frozenset(
    {
        "LogoutUnconfirmed",
        "LoggedOut",
        "TemporaryBan",
        "LoginRefused",
        "ClientOutdated",
        "EngineTooOld",
        "EngineCrashing",
        "AuthStateMissing",
        "AuthStateDamaged",
        "KeyringLacksKey",
        "StateOfAnotherTenant",
        "JournalFull",
    }
)
"""Reasons of `Connected=False` that become Warning Events with their message."""


def plan_telling(case: Case) -> list[Decision]:
    """What is to be told, or nothing."""
    session = case.session
    if session.status.phase is Phase.CONNECTED:
        return []
    said = session.status.condition(ConditionType.CONNECTED)
    if said is None or said.status == "True" or said.reason not in TOLD:
        return []
    return [Tell(target=case.target, stories=(Story(said.reason, said.message, warning=True),))]
