"""The command line of `whatsam-operator`: without arguments the operator itself.

`whatsam-operator installation` says which cluster uses the object store; with `--take-over` it is this one from now on.

`whatsam-operator plan --explain` reads a live cluster with the rights of whoever runs it, and writes nothing.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from whatsam_operator.handlers.explained import as_json, as_text
from whatsam_operator.planning.explaining import Explanation


@dataclass(frozen=True, slots=True)
class PlanCommand:
    """What somebody wants to see."""

    explain: bool
    """With filters and scores."""
    namespace: str | None
    sessions: frozenset[str]
    """Names of sessions to show in any case."""
    output: str

    def render(self, explanation: Explanation) -> str:
        """The answer in the form that was asked for."""
        return as_json(explanation) if self.output == "json" else as_text(explanation, reasons=self.explain)


@dataclass(frozen=True, slots=True)
class InstallationCommand:
    """Somebody asks whose the object store is."""

    take_over: bool


def parse(arguments: Sequence[str]) -> PlanCommand | InstallationCommand | None:
    """What was asked for; None for the operator itself. Ends the process when it cannot be understood."""
    if not arguments:
        return None
    parser = argparse.ArgumentParser(prog="whatsam-operator", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    plan = commands.add_parser("plan", help="print what the operator would do now, and change nothing")
    plan.add_argument("--explain", action="store_true", help="say why: filters and scores of the workers")
    plan.add_argument("-n", "--namespace", help="only this namespace; all of them otherwise")
    plan.add_argument("-s", "--session", action="append", default=[], help="show this session in any case (repeatable)")
    plan.add_argument("-o", "--output", choices=["text", "json"], default="text", help="form of the answer")
    installation = commands.add_parser("installation", help="say which cluster uses this part of the object store")
    installation.add_argument(
        "--take-over",
        action="store_true",
        help="from now on it is this cluster: only when the other one has ended, or shall end its sessions",
    )
    found = parser.parse_args(arguments)
    if found.command == "installation":
        return InstallationCommand(found.take_over)
    return PlanCommand(found.explain, found.namespace, frozenset(found.session), found.output)
