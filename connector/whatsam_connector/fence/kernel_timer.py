"""A POSIX timer that sends SIGKILL to its own process at an absolute time of CLOCK_BOOTTIME.

The kernel fires it even when the process is stopped (SIGSTOP), when its interpreter hangs, or when its parent is
frozen: nothing in user space has to run. CLOCK_BOOTTIME goes on while the machine sleeps, so a suspended node fences at
the moment it wakes. What it cannot cover: a hypervisor that freezes the guest together with its clocks.

A timer belongs to one process: it is not inherited over fork() and ends with exec(). See timer_create(2).
"""

import ctypes
import os
import signal
import time
from typing import ClassVar

from whatsam_core.errors import WhatsamError

_SIGEV_SIGNAL = 0
_TIMER_ABSTIME = 1
_NANOSECONDS = 1_000_000_000


class FenceError(WhatsamError):
    """The kernel refused the timer. Whoever needs the fence must not go on without it."""


class _SigEvent(ctypes.Structure):
    # struct sigevent of Linux: a union of pointer size, two ints, padded to 64 bytes.
    _fields_: ClassVar = [
        ("value", ctypes.c_void_p),
        ("signal_number", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("padding", ctypes.c_byte * 48),
    ]


class _TimeSpec(ctypes.Structure):
    _fields_: ClassVar = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


class _TimerSpec(ctypes.Structure):
    _fields_: ClassVar = [("interval", _TimeSpec), ("value", _TimeSpec)]


_libc = ctypes.CDLL(None, use_errno=True)
_libc.timer_create.argtypes = [ctypes.c_int, ctypes.POINTER(_SigEvent), ctypes.POINTER(ctypes.c_void_p)]
_libc.timer_settime.argtypes = [
    ctypes.c_void_p,
    ctypes.c_int,
    ctypes.POINTER(_TimerSpec),
    ctypes.POINTER(_TimerSpec),
]
_libc.timer_gettime.argtypes = [ctypes.c_void_p, ctypes.POINTER(_TimerSpec)]
_libc.timer_delete.argtypes = [ctypes.c_void_p]


def boottime() -> float:
    """Now, in seconds of CLOCK_BOOTTIME: the clock of every fence deadline."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class KernelTimer:
    """One timer of this process. It starts disarmed; `arm` may be called again and again, from any thread."""

    def __init__(self) -> None:
        """Ask the kernel for a timer; raises FenceError when it has none to give."""
        event = _SigEvent(signal_number=signal.SIGKILL, notify=_SIGEV_SIGNAL)
        self._timer: ctypes.c_void_p | None = ctypes.c_void_p()
        if _libc.timer_create(time.CLOCK_BOOTTIME, ctypes.byref(event), ctypes.byref(self._timer)) != 0:
            self._timer = None
            raise FenceError(f"timer_create: {os.strerror(ctypes.get_errno())}")

    def arm(self, deadline: float) -> None:
        """Die by SIGKILL at `deadline` (seconds of CLOCK_BOOTTIME) unless armed anew before.

        A deadline in the past kills at once. Replaces the earlier deadline in one step: there is no moment without one.
        """
        # All zero would disarm the timer; the first nanosecond after boot is in the past and kills.
        self._set(max(int(deadline * _NANOSECONDS), 1))

    def disarm(self) -> None:
        """Take the deadline away. Only for a process that has proved that it no longer needs to be fenced."""
        self._set(0)

    def remaining(self) -> float | None:
        """Seconds until the kernel kills this process; None when disarmed."""
        current = _TimerSpec()
        if _libc.timer_gettime(self._timer, ctypes.byref(current)) != 0:
            raise FenceError(f"timer_gettime: {os.strerror(ctypes.get_errno())}")
        left = current.value.seconds + current.value.nanoseconds / _NANOSECONDS
        return left or None

    def close(self) -> None:
        """Delete the timer (disarmed or not)."""
        if self._timer is not None:
            _libc.timer_delete(self._timer)
            self._timer = None

    def _set(self, nanoseconds: int) -> None:
        seconds, rest = divmod(nanoseconds, _NANOSECONDS)
        spec = _TimerSpec(value=_TimeSpec(seconds, rest))
        if self._timer is None:
            raise FenceError("the timer is closed")
        if _libc.timer_settime(self._timer, _TIMER_ABSTIME, ctypes.byref(spec), None) != 0:
            raise FenceError(f"timer_settime: {os.strerror(ctypes.get_errno())}")
