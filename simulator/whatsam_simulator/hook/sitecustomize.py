"""Test hook: makes a process that imports neonize trust the simulator's Noise root key.

Python imports this module by itself when its folder is on PYTHONPATH. Without WHATSAM_SIMULATOR_ROOT (64 hex digits) it
does nothing; with it, the 32 bytes of the root key that whatsmeow pins are replaced in memory right after neonize has
been imported. Nothing on disk changes. Production never has this folder on its path. It stands alone: standard
library only.
"""

import importlib.util
import os
import sys
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

VARIABLE = "WHATSAM_SIMULATOR_ROOT"
PINNED_ROOT = bytes.fromhex("142375574d0a587166aae71ebe516437c4a28b73e3695c6ce1f7f9545da8ee6b")
"""whatsmeow, `handshake.go`, WACertPubKey; a public key."""
KEY_SIZE = 32
HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120  pathlib would cost every Python process its import


def trust_root(key: bytes) -> None:
    """Replaces the pinned key in the loaded library; a second time with the same key changes nothing."""
    import ctypes

    path, base = _loaded_library()
    with open(path, "rb") as file:  # noqa: PTH123  as above
        image = file.read()
    if image.count(PINNED_ROOT) != 1:
        raise ImportError("neonize's library does not hold the pinned root key exactly once: the hook needs an update")
    address = base + _virtual_address(image, image.index(PINNED_ROOT))
    if ctypes.string_at(address, KEY_SIZE) not in (PINNED_ROOT, key):
        raise ImportError("unexpected bytes where neonize's pinned root key should be")
    ctypes.memmove(address, key, KEY_SIZE)


def _loaded_library() -> tuple[str, int]:
    """File and load address of neonize's library in this process."""
    with open("/proc/self/maps") as maps:  # noqa: PTH123  as above
        for line in maps:
            parts = line.split(maxsplit=5)
            if len(parts) == 6 and "/neonize-" in parts[5] and parts[5].rstrip().endswith(".so"):
                return parts[5].rstrip(), int(parts[0].split("-")[0], 16)
    raise ImportError("neonize's library is not loaded after the import of neonize")


def _virtual_address(image: bytes, offset: int) -> int:
    """Where a file offset of a 64-bit ELF file lies in memory, relative to the load address."""
    import struct

    table = struct.unpack_from("<Q", image, 32)[0]
    size, count = struct.unpack_from("<HH", image, 54)
    for number in range(count):
        kind, _, start, address, _, length = struct.unpack_from("<IIQQQQ", image, table + number * size)
        if kind == 1 and start <= offset < start + length:
            return int(address) + offset - start
    raise ImportError("neonize's pinned root key lies outside all segments")


def _root_key() -> bytes:
    try:
        key = bytes.fromhex(os.environ[VARIABLE])
    except ValueError:
        key = b""
    if len(key) != KEY_SIZE:
        raise ImportError(f"{VARIABLE} must be 64 hex digits")
    return key


class _AfterNeonize:
    """A finder that lets the others find neonize and acts once the package has been executed."""

    searching = False

    @classmethod
    def find_spec(cls, name: str, path: object = None, target: object = None) -> "ModuleSpec | None":
        if name != "neonize" or cls.searching:
            return None
        cls.searching = True
        try:
            spec = importlib.util.find_spec(name)
        finally:
            cls.searching = False
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def execute_and_trust(module: ModuleType) -> None:
            execute(module)
            trust_root(_root_key())

        spec.loader.exec_module = execute_and_trust
        return spec


def _run_other_sitecustomize() -> None:
    """This module hides any other `sitecustomize` on the path: that one runs as if this were not here."""
    elsewhere = [entry for entry in sys.path if os.path.abspath(entry or ".") != HERE]  # noqa: PTH100  as above
    spec = PathFinder.find_spec("sitecustomize", elsewhere)
    if spec is not None and spec.loader is not None and spec.origin != __file__:
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)


if os.environ.get(VARIABLE):
    sys.meta_path.insert(0, _AfterNeonize)
_run_other_sitecustomize()
