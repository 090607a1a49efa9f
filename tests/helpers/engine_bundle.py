"""The engine of an installer for tests: what `dev.py package engine` made, and copies of it that are damaged or lie."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from localai_app.engine.runtimes import MANIFEST_NAME, Manifest
from tests.helpers.runtime_builds import write_manifest

BACKENDS = "backends"


def made_engine() -> Path:
    """The folder of the engine; a skip with the command that makes it where it is absent, a failure in CI."""
    from tools.package import engine

    folder = engine.made()
    if folder is None:
        reason = "the engine of an installer is not there: make it with `python3 dev.py package engine`"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


def manifest_of(folder: Path) -> Manifest:
    """What its engine.json says."""
    return msgspec.json.decode((folder / MANIFEST_NAME).read_bytes(), type=Manifest)


def copy_engine(engine: Path, folder: Path, *variants: str) -> Path:
    """A copy with only these variants for the processor and no other back ends; the files are hard links where that works."""
    target = folder / engine.name
    (target / BACKENDS).mkdir(parents=True)
    for name in [entry.path for entry in manifest_of(engine).files]:
        kind = Path(name).name.removeprefix("libggml-cpu-").removesuffix(".so")
        if not name.startswith(f"{BACKENDS}/") or kind in variants:
            _link(engine / name, target / name)
    renew_manifest(target)
    return target


def renew_manifest(folder: Path) -> None:
    """`engine.json` for the files as they are now: whatever was done to them, only the loader finds out."""
    names = sorted(f"{BACKENDS}/{path.name}" for path in (folder / BACKENDS).iterdir())
    write_manifest(folder, folder.name, names, label="llama.cpp")


def replace_file(path: Path, data: bytes) -> None:
    """Other content in place of a file, whose other links keep theirs."""
    path.unlink(missing_ok=True)
    path.write_bytes(data)


def with_false_score(backend: Path) -> bytes:
    """A variant for x86 that claims to fit every processor, as one does where a virtual machine lists what it does not grant.

    Its `ggml_backend_score` is overwritten with `mov eax, 1000; ret`.
    """
    data = bytearray(backend.read_bytes())
    offset = _offset_of(backend, "ggml_backend_score")
    code = b"\xb8\xe8\x03\x00\x00\xc3"
    data[offset:offset + len(code)] = code
    return bytes(data)


def _offset_of(path: Path, name: str) -> int:
    from elftools.elf.elffile import ELFFile

    with path.open("rb") as file:
        elf: Any = ELFFile(file)
        (symbol,) = elf.get_section_by_name(".dynsym").get_symbol_by_name(name)
        address = symbol.entry.st_value
        for segment in elf.iter_segments():
            if segment.header.p_type == "PT_LOAD" and segment.header.p_vaddr <= address < (
                    segment.header.p_vaddr + segment.header.p_filesz):
                return int(address - segment.header.p_vaddr + segment.header.p_offset)
    raise LookupError(f"{name} lies in no segment of {path.name}")


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
