"""The engine for Windows, as files: for the right processor, linked to Windows and itself, with what the program calls."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pefile
import pytest

from tests.helpers.engine_bundle import manifest_of
from tools.package import engine_windows

OF_WINDOWS = re.compile(
    r"api-ms-win-crt-[a-z]+-l1-1-0\.dll|(kernel32|advapi32|ws2_32|ntdll|shell32|msvcrt|ucrtbase|user32|ole32)\.dll",
    re.IGNORECASE)
OF_THE_ENGINE = {"ggml-base.dll", "ggml.dll"}
X64 = 0x8664
CALLED = {
    "llama.dll": {b"llama_backend_init", b"llama_model_load_from_file", b"llama_init_from_model", b"llama_decode"},
    "ggml.dll": {
        b"ggml_backend_load", b"ggml_backend_load_all_from_path", b"ggml_backend_reg_count", b"ggml_backend_dev_count"},
    "ggml-base.dll": {b"ggml_backend_dev_name", b"ggml_backend_dev_memory"},
}
BACKEND = {b"ggml_backend_init"}


@pytest.fixture(scope="module")
def folder() -> Path:
    made = engine_windows.made()
    if made is None:
        pytest.skip("the engine for Windows is not there: `python3 dev.py package windows` makes it")
    return made


@pytest.fixture(scope="module")
def libraries(folder: Path) -> dict[str, pefile.PE]:
    return {path.relative_to(folder).as_posix(): pefile.PE(str(path)) for path in sorted(folder.rglob("*.dll"))}


def exports(library: pefile.PE) -> set[bytes]:
    return {symbol.name for symbol in library.DIRECTORY_ENTRY_EXPORT.symbols if symbol.name}


def test_every_file_is_listed_with_its_checksum(folder: Path) -> None:
    manifest = manifest_of(folder)
    there = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*") if path.is_file() and path.name != "engine.json"}
    assert {entry.path: entry.sha256 for entry in manifest.files} == there
    assert (manifest.platform, manifest.engine_id) == ("windows-x64", folder.name)
    assert {Path(name).name for name in manifest.backends} == {
        f"ggml-{name}.dll" for name in ("cpu-x64", "cpu-haswell", "cpu-icelake", "rpc")}


def test_every_library_is_for_x64_and_needs_windows_and_the_engine_alone(libraries: dict[str, pefile.PE]) -> None:
    assert len(libraries) == 7
    for name, library in libraries.items():
        assert library.FILE_HEADER.Machine == X64, name
        needed = {entry.dll.decode() for entry in library.DIRECTORY_ENTRY_IMPORT}
        assert {each for each in needed if not OF_WINDOWS.fullmatch(each)} <= OF_THE_ENGINE, (name, needed)


def test_what_one_imports_the_other_exports(libraries: dict[str, pefile.PE]) -> None:
    for name, library in libraries.items():
        for entry in library.DIRECTORY_ENTRY_IMPORT:
            other = libraries.get(entry.dll.decode())
            if other is not None:
                assert {symbol.name for symbol in entry.imports} <= exports(other), (name, entry.dll)


def test_they_export_what_the_program_calls_and_nothing_of_the_c_library(libraries: dict[str, pefile.PE]) -> None:
    for name, functions in CALLED.items():
        assert functions <= exports(libraries[name])
    for name, library in libraries.items():
        if name.startswith("backends/"):
            assert exports(library) >= BACKEND | ({b"ggml_backend_score"} if "-cpu-" in name else set()), name
        assert not {b"atexit", b"malloc", b"DllMainCRTStartup"} & exports(library), name
