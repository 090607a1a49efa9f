"""What the properties of a Windows program say."""

from __future__ import annotations

from pathlib import Path

import pefile

_RESOURCES = pefile.DIRECTORY_ENTRY["IMAGE_DIRECTORY_ENTRY_RESOURCE"]


def version_texts(path: Path) -> dict[str, str]:
    """The texts of its version; empty if it has none."""
    program = pefile.PE(str(path), fast_load=True)
    try:
        program.parse_data_directories([_RESOURCES])
        return {
            key.decode(): value.decode() for group in getattr(program, "FileInfo", ()) for entry in group
            for table in getattr(entry, "StringTable", ()) for key, value in table.entries.items()}
    finally:
        program.close()
