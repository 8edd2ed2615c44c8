"""The token tables of binary XML, read out of neonize's shared library.

Nothing is copied into this project, and a new neonize brings its own tables. Called once by the server at its start
(0.1 s). The library is read as a file; neonize is not imported.
"""

from __future__ import annotations

import importlib.util
import struct
from pathlib import Path

from whatsam_simulator.errors import SimulatorError

SINGLE_TOKENS = 236
DICTIONARIES = 4
_LONGEST_TOKEN = 400
_STRING_HEADER, _SLICE_HEADER = 16, 24
_RELATIVE_RELOCATION = {62: 8, 183: 1027}
"""ELF machine (x86-64, arm64) → number of its "relative" relocation, `elf.h`."""


def library_path() -> Path:
    """The shared library of the installed neonize, found without importing it."""
    package = importlib.util.find_spec("neonize")
    if package is None or package.origin is None:
        raise SimulatorError("neonize is not installed: the token tables are read from its library")
    libraries = sorted(Path(package.origin).parent.glob("neonize-linux-*.so"))
    if not libraries:
        raise SimulatorError("the installed neonize holds no Linux library")
    return libraries[0]


def read_tokens(path: Path) -> tuple[list[str], list[list[str]]]:
    """The 236 single-byte tokens and the four dictionaries of two-byte tokens."""
    strings = _GoStrings(path.read_bytes())
    single_at = strings.find("xmlstreamstart", "xmlstreamend") - _STRING_HEADER
    first_at = strings.find("read-self", "active")
    single = ["", *(strings.read(single_at + _STRING_HEADER * index) or "" for index in range(1, SINGLE_TOKENS))]
    header = strings.slice_header(first_at)
    dictionaries = [strings.slice(header + _SLICE_HEADER * number) for number in range(DICTIONARIES)]
    return single, dictionaries


class _GoStrings:
    """Go string headers (pointer, length) in the data section of a position-independent ELF file.

    Pointers are zero in the file and filled in by relocations, so a string is found by its header's relocation.
    """

    def __init__(self, data: bytes) -> None:
        if data[:5] != b"\x7fELF\x02":
            raise SimulatorError("neonize's library is no 64-bit ELF file")
        self._data = data
        machine = struct.unpack_from("<H", data, 18)[0]
        program_at, section_at = struct.unpack_from("<QQ", data, 32)
        program_size, programs, section_size, sections, names_index = struct.unpack_from("<5H", data, 54)
        headers = [struct.unpack_from("<IIQQQQ", data, program_at + i * program_size) for i in range(programs)]
        self._segments = [(offset, address, size) for kind, _, offset, address, _, size in headers if kind == 1]
        table = [struct.unpack_from("<IIQQQQ", data, section_at + i * section_size) for i in range(sections)]
        names_at = table[names_index][4]
        self._pointers: dict[int, int] = {}
        for name, _, _, _, offset, size in table:
            if data[names_at + name :].startswith(b".rela.dyn\0") if size else False:
                wanted = _RELATIVE_RELOCATION.get(machine)
                entries = struct.iter_unpack("<QQq", data[offset : offset + size])
                self._pointers = {at: to for at, info, to in entries if info & 0xFFFFFFFF == wanted}

    def find(self, *run: str) -> int:
        """Address of the header of the first string of a run of neighbours in one array."""
        for at in self._pointers:
            if self._length(at) == len(run[0]) and all(
                self.read(at + _STRING_HEADER * index) == text for index, text in enumerate(run)
            ):
                return at
        raise SimulatorError("the token tables were not found in neonize's library")

    def read(self, at: int) -> str | None:
        length = self._length(at)
        if at not in self._pointers:
            return "" if length == 0 else None
        offset = self._offset(self._pointers[at])
        if offset is None or length is None or length > _LONGEST_TOKEN:
            return None
        try:
            return self._data[offset : offset + length].decode()
        except UnicodeDecodeError:
            return None

    def slice_header(self, array_at: int) -> int:
        """Address of the slice header that points to an array of at most 256 strings."""
        for at, to in self._pointers.items():
            if to == array_at and 0 < (self._length(at) or 0) <= 256:
                return at
        raise SimulatorError("the dictionaries were not found in neonize's library")

    def slice(self, header: int) -> list[str]:
        array = self._pointers[header]
        return [self.read(array + _STRING_HEADER * index) or "" for index in range(self._length(header) or 0)]

    def _length(self, at: int) -> int | None:
        offset = self._offset(at + 8)
        return None if offset is None else struct.unpack_from("<Q", self._data, offset)[0]

    def _offset(self, address: int) -> int | None:
        for offset, base, size in self._segments:
            if base <= address < base + size:
                return offset + address - base
        return None
