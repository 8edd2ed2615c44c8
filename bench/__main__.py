"""`python -m bench [scenario …]`: measure on the running cluster of this checkout, or on one started for it.

Scenarios that need no cluster run first, without one.
"""

import importlib
import sys
import time
from collections.abc import Callable
from functools import partial

from rich.console import Console
from rich.table import Table

from bench.harness import Figure, Machine, Result, Scenario
from whatsam_core.errors import WhatsamError
from whatsam_local.driver.borrowed import borrowed_cluster

SCENARIOS = {
    "pairing": "bench.scenarios.pairing",
    "failover-kill": "bench.scenarios.failover_kill",
    "failover-freeze": "bench.scenarios.failover_freeze",
    "loss-in-traffic": "bench.scenarios.loss_in_traffic",
    "planned-move": "bench.scenarios.planned_move",
    "mass-restart": "bench.scenarios.mass_restart",
    "outages": "bench.scenarios.outages",
    "sends": "bench.scenarios.sends",
    "inbound": "bench.scenarios.inbound",
    "restart": "bench.scenarios.restart",
    "density": "bench.scenarios.density",
    "replication": "bench.scenarios.replication",
}
WITHOUT_CLUSTER = {
    "no-loss": "bench.scenarios.no_loss",
    "scheduler": "bench.scenarios.scheduler",
}


def main(wanted: list[str]) -> int:
    """Run the scenarios; 1 when one could not be measured, 2 when there is none of that name."""
    console = Console(highlight=False)
    known = [*WITHOUT_CLUSTER, *SCENARIOS]
    unknown = [name for name in wanted if name not in known]
    if unknown:
        console.print(f"no scenario {', '.join(unknown)}; there are: {', '.join(known)}", style="red")
        return 2
    names = wanted or known
    alone, together = [name for name in names if name in WITHOUT_CLUSTER], [name for name in names if name in SCENARIOS]
    good = [_tried(name, importlib.import_module(WITHOUT_CLUSTER[name]).measure, console) for name in alone]
    if together:
        with borrowed_cluster(console) as cluster:
            for name in together:
                measure: Scenario = importlib.import_module(SCENARIOS[name]).measure
                good.append(_tried(name, partial(measure, cluster), console))
    return 0 if all(good) else 1


def _tried(name: str, measure: Callable[[], list[Figure]], console: Console) -> bool:
    try:
        _run(name, measure, console)
    except (WhatsamError, OSError) as error:
        console.print(f"{name}: could not be measured: {error}", style="red", markup=False)
        return False
    return True


def _run(name: str, measure: Callable[[], list[Figure]], console: Console) -> None:
    began = time.monotonic()
    console.print(f"measuring {name} …")
    figures = measure()
    result = Result(scenario=name, machine=Machine.here(), figures=figures)
    path = result.write()
    table = Table(title=f"{name} ({time.monotonic() - began:.0f} s)", show_edge=False)
    for column in ("figure", "median", "worst", "goal", "unit"):
        table.add_column(column, justify="left" if column in {"figure", "unit"} else "right")
    for one in result.figures:
        goal = "" if one.goal is None else f"{one.goal:g}"
        table.add_row(one.name, f"{one.value:g}", f"{one.worst:g}", goal, one.unit)
    console.print(table)
    console.print(f"written to {path.relative_to(path.parents[2])}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
