"""Whether this machine can run the cluster, tried for real: a refusal names what is missing, why, and what to do."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from whatsam_local.errors import MachineUnfitError
from whatsam_local.layout import Layout
from whatsam_local.node import linux
from whatsam_local.node.errors import RequirementMissing
from whatsam_local.user_namespace import NEW_USER, map_only_user

_SYSTEM_PATH = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin")

# (file, the value that forbids, what to say)
_SWITCHES = (
    (
        "/proc/sys/kernel/unprivileged_userns_clone",
        "0",
        "kernel.unprivileged_userns_clone is 0: `sudo sysctl kernel.unprivileged_userns_clone=1`",
    ),
    (
        "/proc/sys/user/max_user_namespaces",
        "0",
        "user.max_user_namespaces is 0: `sudo sysctl user.max_user_namespaces=10000`",
    ),
    (
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "AppArmor keeps ordinary users from it: `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`",
    ),
)


def system_path(first: Path) -> str:
    """PATH of all parts: the virtual environment, the caller's, and the places where `ip` may be besides."""
    own = os.environ.get("PATH", "").split(os.pathsep)
    return os.pathsep.join(dict.fromkeys([str(first), *filter(None, own), *_SYSTEM_PATH]))


def part_environment(layout: Layout, path: str) -> dict[str, str]:
    """Environment of every part: only what is needed, nothing of the caller's proxies or credentials."""
    return {
        "PATH": path,
        "HOME": str(layout.state),
        "TMPDIR": str(layout.state / "tmp"),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        # Parts are run as modules from /; nothing must be picked up from there.
        "PYTHONSAFEPATH": "1",
    }


def check(path: str) -> str:
    """Raise MachineUnfitError with everything that is missing; return the path of `ip`."""
    problems: list[str] = []
    if not sys.platform.startswith("linux"):
        raise MachineUnfitError("The local cluster needs Linux: it is made of Linux namespaces.")
    for program, package, why in (
        ("ip", "iproute2", "it makes the cluster's network"),
        ("nsenter", "util-linux", "the process node enters its pods with it"),
    ):
        if shutil.which(program, path=path) is None:
            problems.append(f"`{program}` is missing ({why}): install the package {package}.")
    problem = _try_namespaces()
    if problem:
        problems.append(problem)
    if problems:
        raise MachineUnfitError("This machine cannot run the local cluster:\n" + "\n".join(f"- {p}" for p in problems))
    found = shutil.which("ip", path=path)
    assert found is not None  # noqa: S101 - looked for above
    return found


def _try_namespaces() -> str | None:
    """Make the namespaces that the supervisor will make, in a child that ends at once."""
    program = "from whatsam_local.machine import attempt; attempt()"
    tried = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    if tried.returncode == 0:
        return None
    said = tried.stderr.strip().splitlines()[-1:] or [f"exit code {tried.returncode}"]
    reasons = [advice for file, bad, advice in _SWITCHES if _read(file) == bad] if os.getuid() != 0 else []
    if os.getuid() == 0 and _read("/proc/sys/user/max_user_namespaces") == "0":
        reasons = [_SWITCHES[1][2] + " (PostgreSQL refuses to run as root and gets a user namespace)"]
    if not reasons:
        reasons = [
            "inside a container, start it with --privileged; on a machine of your own, run make as root"
            if os.getuid() == 0 or Path("/.dockerenv").exists() or Path("/run/.containerenv").exists()
            else "run make as root, or ask for unprivileged user namespaces"
        ]
    return f"Linux namespaces cannot be made here ({said[0]}). " + "; ".join(reasons) + "."


def attempt() -> None:
    """Ends with 0 if everything the supervisor does to namespaces works; else says which step did not."""
    step = "user namespaces" if os.getuid() != 0 else "namespaces"
    try:
        uid, gid = os.getuid(), os.getgid()
        if uid != 0:
            linux.unshare(NEW_USER)
            map_only_user(0, uid, gid)
        step = "mount, pid, network and IPC namespaces"
        linux.unshare(linux.NEW_MOUNT | linux.NEW_PID | linux.NEW_NETWORK | linux.NEW_IPC)
        child = os.fork()
        if child == 0:
            _attempt_inside()
        _, status = os.waitpid(child, 0)
        sys.exit(os.waitstatus_to_exitcode(status))
    except OSError as error:
        sys.exit(f"{step}: {error.strerror}")


def _attempt_inside() -> None:
    step, code = "private mounts", 1
    try:
        linux.make_private()
        step = "a /proc of its own"
        linux.mount_proc("/proc")
        step = "a second user namespace"
        linux.unshare(NEW_USER)
        code = 0
    except (OSError, RequirementMissing) as error:
        os.write(2, f"{step}: {error}\n".encode())
    finally:
        os._exit(code)


def _read(file: str) -> str | None:
    try:
        return Path(file).read_text().strip()
    except OSError:
        return None
