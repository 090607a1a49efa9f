"""The parts of a Windows program that tell what it needs and offers, by Microsoft's description of the PE format.

pefile, which tests compare with, takes minutes for Qt's libraries with their thousands of functions.
"""

from __future__ import annotations

import struct

MACHINES = {0x8664: "x64", 0xAA64: "arm64", 0x14C: "x86"}
_EXPORTS, _IMPORTS, _DELAYED = 0, 1, 13
_MOST_ENTRIES = 200_000


class Image:
    """A program or library; ValueError, struct.error or IndexError where it is none or cut off."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        if data[:2] != b"MZ":
            raise ValueError("it does not begin like one")
        head = self._number("<I", 0x3C)
        if data[head:head + 4] != b"PE\0\0":
            raise ValueError("it has no header")
        machine, sections = struct.unpack_from("<HH", data, head + 4)
        self.machine = MACHINES.get(machine, hex(machine))
        optional = head + 24
        self._is_64 = self._number("<H", optional) == 0x20B
        directories = optional + (112 if self._is_64 else 96)
        self._directories = [
            struct.unpack_from("<II", data, directories + 8 * at) for at in range(self._number("<I", directories - 4))]
        table = optional + self._number("<H", head + 20)
        self._sections = [struct.unpack_from("<IIII", data, table + 40 * at + 8) for at in range(sections)]

    def imports(self) -> dict[str, frozenset[str]]:
        """Functions by library (in lower case), those included that are looked for at their first use."""
        found: dict[str, frozenset[str]] = {}
        for directory, size, name_at, thunks_at in ((_IMPORTS, 20, 12, 0), (_DELAYED, 32, 4, 16)):
            start = self._directory(directory)
            for index in range(_MOST_ENTRIES if start else 0):
                entry = start + index * size
                name = self._number("<I", entry + name_at)
                if name == 0:
                    break
                thunks = self._number("<I", entry + thunks_at) or self._number("<I", entry + 16)
                library = self._text(self._offset(name)).lower()
                found[library] = found.get(library, frozenset()) | self._functions(self._offset(thunks))
        return found

    def exports(self) -> frozenset[str]:
        """The names that it offers, and its numbers as `#12`."""
        start = self._directory(_EXPORTS)
        if not start:
            return frozenset()
        base, functions, names, _addresses, name_table = struct.unpack_from("<IIIII", self._data, start + 16)
        if max(functions, names) > _MOST_ENTRIES:
            raise ValueError("it offers more functions than is possible")
        found = {f"#{base + at}" for at in range(functions)}
        place = self._offset(name_table) if names else 0
        for (name,) in struct.iter_unpack("<I", self._data[place:place + 4 * names]):
            found.add(self._text(self._offset(name)))
        return frozenset(found)

    def _functions(self, place: int) -> frozenset[str]:
        form, width = ("<Q", 8) if self._is_64 else ("<I", 4)
        by_number = 1 << (8 * width - 1)
        found: set[str] = set()
        for index in range(_MOST_ENTRIES):
            value = self._number(form, place + index * width)
            if value == 0:
                break
            found.add(f"#{value & 0xFFFF}" if value & by_number else self._text(self._offset(value & 0x7FFFFFFF) + 2))
        return frozenset(found)

    def _directory(self, index: int) -> int:
        """Where in the file a table begins; 0 if there is none."""
        address = self._directories[index][0] if index < len(self._directories) else 0
        return self._offset(address) if address else 0

    def _offset(self, address: int) -> int:
        """The place in the file of an address in memory."""
        for virtual_size, start, raw_size, raw in self._sections:
            if start <= address < start + max(virtual_size, raw_size):
                return int(raw + address - start)
        raise ValueError("it points out of itself")

    def _text(self, place: int) -> str:
        return self._data[place:self._data.index(b"\0", place)].decode("ascii")

    def _number(self, form: str, place: int) -> int:
        return int(struct.unpack_from(form, self._data, place)[0])
