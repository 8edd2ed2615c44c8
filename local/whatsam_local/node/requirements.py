"""What the node needs from the machine, looked at before anything starts."""

import asyncio
import fcntl
import os
import re
import shutil
from pathlib import Path

from whatsam_local.node.errors import RequirementMissing
from whatsam_local.node.options import NodeOptions
from whatsam_local.node.protocol import ContainerSpec, Labels, Limits
from whatsam_local.node.runtime_client import RuntimeClient

_TOOLS = {
    "ip": ("iproute2", "makes each pod's network link"),
    "nsenter": ("util-linux", "runs exec probes and `kubectl exec` inside pods"),
}
_KERNEL = (5, 12)
_TRIAL = "trial"


def missing_tools(path: str | None = None) -> list[str]:
    """One message for each missing program; `path` as in the environment's PATH."""
    return [
        f"`{tool}` is missing: it {why}. Install the package {package} (Debian: apt install {package})"
        for tool, (package, why) in _TOOLS.items()
        if shutil.which(tool, path=path) is None
    ]


def kernel_version(release: str) -> tuple[int, int]:
    """Pure: (6, 18) of "6.18.44-fc"."""
    match = re.match(r"(\d+)\.(\d+)", release)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def check_requirements(options: NodeOptions) -> str:
    """Raises `RequirementMissing` with everything that is missing; returns the path of nsenter."""
    problems = missing_tools()
    if os.getuid() != 0:
        problems.append(
            "the node must be uid 0, at least in a user namespace of its own: `whatsam-local up` starts it in one"
        )
    if kernel_version(os.uname().release) < _KERNEL:
        problems.append(f"Linux {os.uname().release} is too old: mount_setattr needs {_KERNEL[0]}.{_KERNEL[1]}")
    if not Path(f"/sys/class/net/{options.bridge}").exists() and not _bridge_exists(options.bridge):
        problems.append(
            f"there is no bridge {options.bridge} in this network namespace: the pods' links are plugged into it. "
            f"`whatsam-local up` makes it; by hand: ip link add {options.bridge} type bridge"
        )
    nsenter = shutil.which("nsenter")
    if problems or nsenter is None:
        raise RequirementMissing("\n".join(problems))
    return nsenter


def _bridge_exists(name: str) -> bool:
    """/sys may show another network namespace than the process's own; /proc/net never does."""
    return any(line.split(":")[0].strip() == name for line in Path("/proc/net/dev").read_text().splitlines())


def lock_state(state: Path) -> int:
    """Keep a second node from using the same state directory; the lock goes with the process."""
    state.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(state / "node.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise RequirementMissing(f"another node runs with the state directory {state}") from error
    return descriptor


async def try_container(runtime: RuntimeClient, state: Path) -> None:
    """Start one container without a pod and see it begin. Raises `RuntimeRefused` with what this machine refuses."""
    spec = ContainerSpec(
        argv=["true"],
        env={"PATH": os.environ.get("PATH", os.defpath)},
        cwd="",
        log=str(state / "trial.log"),
        sandbox=None,
        hostname=_TRIAL,
        mounts=[],
        read_only_root=False,
        limits=Limits(),
    )
    labels = Labels(uid=_TRIAL, namespace="", pod=_TRIAL, container=_TRIAL, attempt=0)
    await asyncio.wait_for(runtime.call("start", identifier=_TRIAL, spec=spec, labels=labels), 30)
    await runtime.call("forget", identifier=_TRIAL)
    (state / "trial.log").unlink(missing_ok=True)
