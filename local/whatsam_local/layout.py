"""Where the local cluster of one checkout keeps its things. Used by everything in this package; no I/O but `find`."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from whatsam_local.errors import LocalError

NAMESPACE = "whatsam"
"""Where the local cluster holds everything of Whatsam."""


@dataclass(frozen=True)
class Layout:
    """Paths of one cluster. Everything that changes lies below `root`."""

    checkout: Path
    root: Path
    """`.local` in the checkout, unless WHATSAM_LOCAL names another directory for a further cluster."""

    @classmethod
    def find(cls) -> "Layout":
        """The checkout this package was installed from; editable installs only, because the parts run from the tree."""
        checkout = Path(__file__).resolve().parents[2]
        if not (checkout / "pyproject.toml").is_file():
            raise LocalError("whatsam-local works from a checkout of the repository: run `make up` there.")
        elsewhere = os.environ.get("WHATSAM_LOCAL")
        return cls(checkout, Path(elsewhere).resolve() if elsewhere else checkout / ".local")

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def state(self) -> Path:
        """Data of the parts: etcd, postgres, seaweedfs, node, keys. Gone after `make down` (unless KEEP=1)."""
        return self.root / "state"

    @property
    def run(self) -> Path:
        """Of the running cluster only: control socket, records of processes, plan."""
        return self.root / "run"

    @property
    def pki(self) -> Path:
        return self.state / "pki"

    @property
    def env_file(self) -> Path:
        return self.root / "env"

    @property
    def kubeconfig(self) -> Path:
        """For people and tests on this machine, through the door on 127.0.0.1."""
        return self.root / "kubeconfig"

    @property
    def inner_kubeconfig(self) -> Path:
        """For the parts inside the cluster's network namespace."""
        return self.state / "admin.kubeconfig"

    @property
    def credentials(self) -> Path:
        return self.state / "credentials.json"

    @property
    def images(self) -> Path:
        """The process node's image table."""
        return self.state / "images.json"

    @property
    def engine(self) -> Path:
        """The engine in Go of this run: a copy, so that another build of the checkout does not reach into it."""
        return self.state / "whatsam-engine"

    @property
    def doors(self) -> Path:
        return self.root / "doors.json"

    @property
    def plan(self) -> Path:
        return self.run / "plan.json"

    @property
    def supervisor_record(self) -> Path:
        return self.run / "supervisor.json"

    @property
    def launch_lock(self) -> Path:
        return self.root / "launch.lock"

    @property
    def installed(self) -> Path:
        """Exists once Whatsam has been installed into the running cluster; holds the plan's id."""
        return self.run / "installed"

    @property
    def control_socket_name(self) -> str:
        """Relative to `run`: a unix socket's path may have 107 bytes only, so it is always reached through `run`."""
        return "control.sock"

    @property
    def node_name(self) -> str:
        """The node's name: the same for every `up`, different from those of other clusters on this machine."""
        return f"process-node-{hashlib.sha256(str(self.root).encode()).hexdigest()[:6]}"

    def program(self, name: str) -> Path:
        """A program of the checkout's virtual environment."""
        return self.checkout / ".venv" / "bin" / name


def private_directory(path: Path) -> Path:
    """Make a directory that only its owner may enter."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o700)
    return path


def write_atomically(path: Path, text: str, mode: int = 0o600) -> None:
    """Write a file so that a reader, or a kill in the middle, never sees half of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    temporary.replace(path)


def tail(file: Path, count: int = 15) -> str:
    """The last lines of a file, indented; empty when it cannot be read."""
    try:
        found = file.read_text(errors="replace").splitlines()[-count:]
    except OSError:
        found = []
    return "\n".join(f"    {line}" for line in found)
