"""`whatsam-local status`: which parts run, which are dead, where their logs and the doors are."""

import time
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from rich.console import Console
from rich.table import Table

from whatsam_local.control import Control
from whatsam_local.doors import TARGETS, read_ports
from whatsam_local.errors import ClusterNotRunningError
from whatsam_local.layout import Layout

_COLOURS = {"ready": "green", "stopped": "yellow", "ended": "red", "not ready": "red"}


class Health(IntEnum):
    """Exit code of `status`."""

    ALL_RUN = 0
    SOME_DEAD = 1
    NOT_RUNNING = 3
    """As service managers say it (LSB)."""


@dataclass(frozen=True)
class Verdict:
    """What a person should know first."""

    health: Health
    text: str


def judge(parts: list[dict[str, Any]], completed: bool) -> Verdict:
    """Pure: the verdict on what the supervisor says."""
    problems: list[str] = []
    for part in parts:
        name = part["name"]
        again = f"start it again: whatsam-local part start {name}"
        if part["state"] == "ended":
            problems.append(f"{name} is dead ({part['ended_by']}); log: {part['log']}; {again}")
        elif part["state"] == "not ready":
            problems.append(f"{name} runs but does not answer; log: {part['log']}")
        elif part["state"] == "stopped":
            problems.append(f"{name} was stopped; {again}")
        elif part["state"] != "ready":
            waits = f" for {', '.join(part['waits_for'])}" if part["waits_for"] else ""
            problems.append(f"{name} is {part['state']}{waits}; log: {part['log']}")
        elif part["frozen"]:
            problems.append(f"{name} is frozen; whatsam-local part thaw {name}")
    if not completed and not problems:
        problems.append("Whatsam is not installed completely: `make up` goes on")
    if problems:
        return Verdict(Health.SOME_DEAD, "\n".join(problems))
    return Verdict(Health.ALL_RUN, "All parts run.")


def show(layout: Layout, console: Console) -> Health:
    """Print the state of this checkout's cluster."""
    try:
        status = Control(layout).status()
    except ClusterNotRunningError:
        console.print("No cluster of this checkout runs. `make up` starts one.")
        return Health.NOT_RUNNING
    parts = status["parts"]
    table = Table(box=None, pad_edge=False)
    for heading in ("PART", "STATE", "PID", "FOR", "STARTS", "READY AFTER"):
        table.add_column(heading)
    for part in parts:
        state = "frozen" if part["frozen"] else part["state"]
        colour = _COLOURS.get(state, "yellow")
        seconds = f"{part['seconds']:.1f} s" if part["seconds"] is not None else ""
        table.add_row(
            part["name"],
            f"[{colour}]{state}[/]",
            str(part["pid"] or ""),
            duration(time.time() - part["since"]),
            str(part["starts"]),
            seconds,
        )
    console.print(table)
    show_doors(layout, console)
    completed = layout.installed.exists() and layout.installed.read_text() == status["id"]
    verdict = judge(parts, completed)
    console.print(verdict.text, style="green" if verdict.health is Health.ALL_RUN else "red", soft_wrap=True)
    return verdict.health


def show_doors(layout: Layout, console: Console) -> None:
    """Where to knock."""
    ports = read_ports(layout.doors)
    told = "  ".join(f"{name} 127.0.0.1:{ports[name]}" for name in TARGETS if name in ports)
    console.print(f"Doors: {told}", soft_wrap=True)
    console.print(f"For shells and tests: . {layout.env_file}", soft_wrap=True)


def duration(seconds: float) -> str:
    """Pure: like 12s, 3m05s, 2h10m."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
