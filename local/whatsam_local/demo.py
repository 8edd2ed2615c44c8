"""`make demo`: the main job, end to end, for somebody who watches. Called by the CLI once the cluster is up."""

import secrets
import time
from collections.abc import Generator
from contextlib import contextmanager

import qrcode
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from whatsam_core.resources import Phase
from whatsam_local.driver.cluster import RunningCluster
from whatsam_local.driver.fleet import Fleet, members
from whatsam_local.driver.watch import SessionWatch
from whatsam_local.layout import Layout, write_atomically

PHONES = 491_510_000_000
"""Made-up numbers; each demo takes the next ones by chance, so that it can run again on the same cluster."""


class Demo:
    """A guided run. Every step shows what it does, how long it took, and what came of it."""

    def __init__(self, layout: Layout, console: Console) -> None:
        self._cluster = RunningCluster(layout)
        self._console = console
        self._times: list[tuple[str, float]] = []

    def run(self) -> None:
        """The whole story. Raises `DriverError` with what did not happen."""
        run = secrets.token_hex(2)
        first = PHONES + secrets.randbelow(9_000) * 100
        with (
            self._cluster.user(f"demo-{run}") as rest,
            self._cluster.simulator() as simulator,
            SessionWatch(self._cluster.kubectl) as watch,
        ):
            fleet = Fleet(
                kubectl=self._cluster.kubectl,
                rest=rest,
                simulator=simulator,
                watch=watch,
                members=members(f"demo-{run}", 1, first),
            )
            self._pair(fleet)
            self._talk(fleet, "before")
            self._lose_the_pod(fleet)
            self._talk(fleet, "after")
            self._summary(fleet)

    def _pair(self, fleet: Fleet) -> None:
        name = fleet.names[0]
        self._say(f"kubectl apply: a WhatsAppSession named [bold]{name}[/]")
        with self._step("QR code after kubectl apply"):
            fleet.apply()
            fleet.watch.wait_phase([name], Phase.PAIRING, 60)
        assignment = fleet.state(name).status.assignment
        self._say(
            f"The operator scheduled it onto the connector pod [bold]{assignment.worker if assignment else '?'}[/]."
        )
        code = fleet.rest.qr(name)
        if code is not None:
            self._console.print(Panel.fit(Text(_picture(code)), title="scan me", subtitle="a simulated phone does"))
        with self._step("Connected after the scan"):
            fleet.scan()
            fleet.watch.wait_phase([name], Phase.CONNECTED, 60)
        self._say(f"Linked to the phone +{fleet.members[0].phone}; its auth state is encrypted in the object store.")

    def _talk(self, fleet: Fleet, when: str) -> None:
        with self._step(f"5 messages each way, {when} the loss"):
            fleet.exchange(5, when)
        self._say("Each arrived exactly once and could be read.")

    def _lose_the_pod(self, fleet: Fleet) -> None:
        name = fleet.names[0]
        assignment = fleet.state(name).status.assignment
        worker = assignment.worker if assignment else ""
        epochs = fleet.epochs()
        self._say(f"[red]kill -9[/] of the container of [bold]{worker}[/] …")
        with self._step("Connected again after kill -9"):
            self._cluster.signal(worker, "KILL")
            fleet.watch.wait_phase_after([name], Phase.CONNECTED, epochs, 60)
        now = fleet.state(name).status
        place = now.assignment.worker if now.assignment else "?"
        self._say(f"Resumed on [bold]{place}[/] in epoch {now.epoch}. Nobody scanned a code again.")

    def _summary(self, fleet: Fleet) -> None:
        table = Table(title="What it took", show_edge=False)
        table.add_column("step")
        table.add_column("seconds", justify="right")
        for title, seconds in self._times:
            table.add_row(title, f"{seconds:.1f}")
        name, member = fleet.names[0], fleet.members[0]
        violations = fleet.simulator.violations()
        self._console.print(table)
        self._console.print(
            f"The simulator's journal: [bold]{len(violations)}[/] violations "
            "(two holders of one device, a used Signal counter, a bad signature)."
        )
        self._keep_key(fleet)
        url = f"$WHATSAM_API_URL/api/v1/sessions/{name}"
        hints = "\n".join(
            [
                ". .local/env; . .local/demo.env",
                "kubectl get was -o wide",
                f"kubectl describe was {name}",
                f'curl -s -H "X-API-Key: $WHATSAM_API_KEY" {url}/status',
                'curl -s -H "X-API-Key: $WHATSAM_API_KEY" -H "Content-Type: application/json" \\',
                f'  -d \'{{"to": "{member.contact}", "text": "hello"}}\' {url}/send',
                "make status; make down",
            ]
        )
        self._console.print("\nThe cluster goes on running. Try next:")
        self._console.print(hints, markup=False, soft_wrap=True)

    def _keep_key(self, fleet: Fleet) -> None:
        """An API key of the session, in a file that only its owner can read: never on the screen."""
        wish = {"name": "demo", "scopes": ["send", "read", "manage"]}
        key = fleet.rest.call("POST", f"/sessions/{fleet.names[0]}/api-keys", wish)["apiKey"]
        write_atomically(self._cluster.layout.env_file.with_name("demo.env"), f"export WHATSAM_API_KEY={key}\n")

    def _say(self, text: str) -> None:
        self._console.print(f"  {text}", soft_wrap=True)

    @contextmanager
    def _step(self, title: str) -> Generator[None]:
        began = time.monotonic()
        if self._console.is_terminal:
            with self._console.status(title):
                yield
        else:
            yield
        seconds = time.monotonic() - began
        self._times.append((title, seconds))
        self._console.print(f"[green]✓[/] {title} [dim]{seconds:.1f} s[/]")


def _picture(code: str) -> str:
    """The QR code in half blocks, so that it fits a terminal."""
    drawing = qrcode.QRCode(border=1)
    drawing.add_data(code)
    drawing.make(fit=True)
    rows = [[bool(cell) for cell in row] for row in drawing.get_matrix()]
    if len(rows) % 2:
        rows.append([False] * len(rows[0]))
    blocks = {(True, True): " ", (True, False): "▄", (False, True): "▀", (False, False): "█"}
    return "\n".join(
        "".join(blocks[upper, lower] for upper, lower in zip(above, below, strict=True))
        for above, below in zip(rows[::2], rows[1::2], strict=True)
    )
