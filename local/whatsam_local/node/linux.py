"""The few Linux calls that Python's standard library lacks. Used by the runtime only.

`mount_setattr` needs Linux 5.12: it makes whole subtrees read-only in one step, also for an ordinary user in a user
namespace, where the flags of inherited mounts are locked and the older remount would be refused.
"""

import ctypes
import os
import platform
import signal

from whatsam_local.node.errors import RequirementMissing

NEW_MOUNT, NEW_UTS, NEW_IPC = 0x20000, 0x4000000, 0x8000000
NEW_PID, NEW_NETWORK = 0x20000000, 0x40000000

_MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 2, 4, 8
_MS_BIND, _MS_REC, _MS_PRIVATE, _MS_SLAVE = 1 << 12, 1 << 14, 1 << 18, 1 << 19
_MNT_DETACH = 2
_MOUNT_ATTR_RDONLY = 1
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_PR_SET_PDEATHSIG = 1
_SYS_MOUNT_SETATTR = 442
_SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "riscv64": 41, "ppc64le": 203, "s390x": 217}

_libc = ctypes.CDLL(None, use_errno=True)


class _MountAttributes(ctypes.Structure):
    _fields_ = (
        ("set", ctypes.c_uint64),
        ("clear", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("user_namespace", ctypes.c_uint64),
    )


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Give the calling process new namespaces."""
    _check(_libc.unshare(flags), "unshare")


def enter_namespace(descriptor: int, kind: int) -> None:
    """Move the calling process into the namespace that the file descriptor stands for."""
    _check(_libc.setns(descriptor, kind), "setns")


def _mount(source: str | None, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    encoded = [None if text is None else os.fsencode(text) for text in (source, target, kind)]
    result = _libc.mount(*encoded, ctypes.c_ulong(flags), None if data is None else data.encode())
    _check(result, f"mount {source or kind} on {target}")


def make_private() -> None:
    """No mount of this namespace is seen outside of it, and none that is made outside appears here."""
    _mount(None, "/", None, _MS_REC | _MS_PRIVATE)


def make_slave() -> None:
    """No mount of this namespace is seen outside; what the machine mounts later still appears here."""
    _mount(None, "/", None, _MS_REC | _MS_SLAVE)


def bind(source: str, target: str) -> None:
    """Show `source`, with everything mounted below it, at `target`."""
    _mount(source, target, None, _MS_BIND | _MS_REC)


def mount_tmpfs(target: str, mode: int = 0o755, size: int | None = None) -> None:
    """An empty file system in memory; `size` in bytes, by default half of the machine's memory."""
    _mount("tmpfs", target, "tmpfs", _MS_NOSUID | _MS_NODEV, f"mode={mode:o}" + (f",size={size}" if size else ""))


def mount_proc(target: str) -> None:
    """/proc of the calling process's pid namespace."""
    try:
        _mount("proc", target, "proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    except PermissionError as error:
        raise RequirementMissing(
            "a fresh /proc is refused: something is mounted over parts of this machine's /proc (a container engine "
            "masks /proc/kcore and others). Run as root outside of that container, or start the container with "
            "unmasked paths (docker: --security-opt systempaths=unconfined)"
        ) from error


def set_read_only(target: str, *, recursive: bool) -> None:
    """Make a mount, or a whole subtree of mounts, read-only."""
    attributes = _MountAttributes(_MOUNT_ATTR_RDONLY, 0, 0, 0)
    result = _libc.syscall(
        ctypes.c_long(_SYS_MOUNT_SETATTR),
        ctypes.c_int(_AT_FDCWD),
        ctypes.c_char_p(os.fsencode(target)),
        ctypes.c_uint(_AT_RECURSIVE if recursive else 0),
        ctypes.byref(attributes),
        ctypes.c_size_t(ctypes.sizeof(attributes)),
    )
    _check(result, f"make {target} read-only")


def pivot_root(new_root: str, old_root: str) -> None:
    """Make `new_root` the root of this mount namespace; the old one is then found at `old_root` below it."""
    number = _SYS_PIVOT_ROOT.get(platform.machine())
    if number is None:
        raise RequirementMissing(f"the process node does not know pivot_root of the architecture {platform.machine()}")
    arguments = [ctypes.c_char_p(os.fsencode(path)) for path in (new_root, old_root)]
    _check(_libc.syscall(ctypes.c_long(number), *arguments), f"pivot_root {new_root}")


def detach(target: str) -> None:
    """Unmount a tree; what is in use goes when its last user goes."""
    _check(_libc.umount2(os.fsencode(target), _MNT_DETACH), f"unmount {target}")


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends; first processes of pid namespaces take theirs along."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")
