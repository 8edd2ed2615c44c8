"""`python -m bench [scenario …]`: measure on the running cluster of this checkout, or on one started for it."""

import importlib
import sys
import time

from rich.console import Console
from rich.table import Table

from bench.harness import Machine, Result, Scenario
from whatsam_core.errors import WhatsamError
from whatsam_local.driver.borrowed import borrowed_cluster
from whatsam_local.driver.cluster import RunningCluster

SCENARIOS = {
    "pairing": "bench.scenarios.pairing",
    "failover-kill": "bench.scenarios.failover_kill",
    "outages": "bench.scenarios.outages",
    "sends": "bench.scenarios.sends",
    "inbound": "bench.scenarios.inbound",
    "restart": "bench.scenarios.restart",
    "density": "bench.scenarios.density",
}


def main(wanted: list[str]) -> int:
    """Run the scenarios; 1 when one could not be measured, 2 when there is none of that name."""
    console = Console(highlight=False)
    unknown = [name for name in wanted if name not in SCENARIOS]
    if unknown:
        console.print(f"no scenario {', '.join(unknown)}; there are: {', '.join(SCENARIOS)}", style="red")
        return 2
    failed = False
    with borrowed_cluster(console) as cluster:
        for name in wanted or list(SCENARIOS):
            try:
                _run(name, cluster, console)
            except (WhatsamError, OSError) as error:
                console.print(f"{name}: could not be measured: {error}", style="red", markup=False)
                failed = True
    return 1 if failed else 0


def _run(name: str, cluster: RunningCluster, console: Console) -> None:
    measure: Scenario = importlib.import_module(SCENARIOS[name]).measure
    began = time.monotonic()
    console.print(f"measuring {name} …")
    result = Result(scenario=name, machine=Machine.here(), figures=measure(cluster))
    path = result.write()
    table = Table(title=f"{name} ({time.monotonic() - began:.0f} s)", show_edge=False)
    for column in ("figure", "median", "worst", "goal", "unit"):
        table.add_column(column, justify="left" if column in {"figure", "unit"} else "right")
    for one in result.figures:
        goal = "" if one.goal is None else f"{one.goal:g}"
        table.add_row(one.name, f"{one.value:g}", f"{max(one.samples):g}", goal, one.unit)
    console.print(table)
    console.print(f"written to {path.relative_to(path.parents[2])}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
