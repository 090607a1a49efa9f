"""The reader of Windows programs against pefile, and faults planted in small libraries that it has to find."""

from __future__ import annotations

import struct
from pathlib import Path

import pefile
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.package import pe
from tools.package.pe_image import Image

X64, ARM64 = 0x8664, 0xAA64
HEADERS, ADDRESS = 0x400, 0x1000


def library(imports: dict[str, list[str]], exports: list[str], machine: int = X64) -> bytes:
    """A library with one section that has nothing but these tables."""
    body = bytearray(0x100)

    def put(data: bytes) -> int:
        place = len(body)
        body.extend(data + b"\0" * (-len(data) % 8))
        return ADDRESS + place

    names = [put(name.encode() + b"\0") for name in exports]
    name_table = put(b"".join(struct.pack("<I", name) for name in names))
    functions = put(struct.pack("<I", ADDRESS) * len(exports))
    ordinals = put(b"".join(struct.pack("<H", at) for at in range(len(exports))))
    own_name = put(b"own.dll\0")
    export_table = put(struct.pack(
        "<IIHHIIIIIII", 0, 0, 0, 0, own_name, 1, len(exports), len(exports), functions, name_table, ordinals))
    rows = b""
    for name, wanted in imports.items():
        thunks = b"".join(struct.pack("<Q", put(b"\0\0" + one.encode() + b"\0")) for one in wanted) + bytes(8)
        lookup = put(thunks)
        rows += struct.pack("<IIIII", lookup, 0, 0, put(name.encode() + b"\0"), put(thunks))
    import_table = put(rows + bytes(20))
    directories = struct.pack("<IIII", export_table, 40, import_table, len(rows) + 20) + bytes(8 * 14)
    optional = struct.pack("<HBBIIIII", 0x20B, 1, 0, 0, len(body), 0, 0, ADDRESS)
    optional += struct.pack("<QIIHHHHHHIIIIHHQQQQII", 0x180000000, 0x1000, 0x200, 6, 0, 0, 0, 6, 0, 0,
                            ADDRESS + len(body) + 0x1000 & ~0xFFF, HEADERS, 0, 2, 0, 1 << 20, 4096, 1 << 20, 4096, 0, 16)
    optional += directories
    head = b"MZ" + bytes(58) + struct.pack("<I", 64) + b"PE\0\0"
    head += struct.pack("<HHIIIHH", machine, 1, 0, 0, 0, len(optional), 0x2022) + optional
    head += b".rdata\0\0" + struct.pack("<IIIIIIHHI", len(body), ADDRESS, len(body), HEADERS, 0, 0, 0, 0, 0x40000040)
    return head.ljust(HEADERS, b"\0") + bytes(body)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "python").mkdir()
    (tmp_path / "start.exe").write_bytes(library({"KERNEL32.dll": ["ExitProcess"], "lib.dll": ["used"]}, []))
    (tmp_path / "lib.dll").write_bytes(library({"api-ms-win-crt-heap-l1-1-0.dll": ["malloc"]}, ["used", "other"]))
    (tmp_path / "python" / "module.pyd").write_bytes(library({"lib.dll": ["other"]}, ["PyInit_module"]))
    return tmp_path


def test_a_sound_tree_has_no_problems_and_names_what_windows_has_to_bring(tree: Path) -> None:
    report = pe.check_tree(tree)
    assert report.problems == ()
    assert {program.path.name for program in report.programs} == {"start.exe", "lib.dll", "module.pyd"}
    assert report.system_libraries == report.unchecked == {"kernel32.dll", "api-ms-win-crt-heap-l1-1-0.dll"}


def test_a_program_for_another_processor_is_found(tree: Path) -> None:
    (tree / "lib.dll").write_bytes(library({}, ["used", "other"], ARM64))
    assert pe.check_tree(tree).problems == ("lib.dll is for arm64 and not for x64",)


def test_a_missing_library_and_a_missing_function_are_found(tree: Path) -> None:
    (tree / "lib.dll").write_bytes(library({"gone.dll": ["x"]}, ["other"]))
    assert pe.check_tree(tree).problems == (
        "lib.dll needs gone.dll, which is nowhere", "start.exe needs used of lib.dll, which has no such function")


def test_what_lies_in_another_package_is_not_found(tree: Path) -> None:
    hidden = tree / "python" / "packages" / "strange"
    hidden.mkdir(parents=True)
    (tree / "lib.dll").rename(hidden / "lib.dll")
    assert [problem.split(" needs ")[0] for problem in pe.check_tree(tree).problems] == ["python/module.pyd", "start.exe"]


def test_it_reads_what_pefile_reads(tree: Path) -> None:
    for path in (tree / "start.exe", tree / "lib.dll"):
        own, other = pe.read(path), pefile.PE(str(path))
        assert own.imports == {
            entry.dll.decode().lower(): {one.name.decode() for one in entry.imports} for entry in other.DIRECTORY_ENTRY_IMPORT}
        names = {symbol.name.decode() for symbol in other.DIRECTORY_ENTRY_EXPORT.symbols} \
            if hasattr(other, "DIRECTORY_ENTRY_EXPORT") else set()
        assert {name for name in own.exports if not name.startswith("#")} == names
        other.close()


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_damaged_library_is_refused_in_words_or_read(data: st.DataObject) -> None:
    whole = bytearray(library({"lib.dll": ["used"]}, ["a", "b"]))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(whole[:data.draw(st.integers(0, len(whole)))])
    try:
        image = Image(damaged)
        image.imports(), image.exports()
    except (ValueError, struct.error, IndexError):
        pass


def test_a_file_that_is_no_program_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.dll").write_text("no program")
    with pytest.raises(ValueError, match=r"notes\.dll is no program for Windows"):
        pe.read(tmp_path / "notes.dll")
