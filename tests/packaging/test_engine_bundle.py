"""The engine of an installer, as files: complete, listed, once each, and linked to nothing that users may lack."""

from __future__ import annotations

import hashlib
import platform
import re
import sys
import time
from pathlib import Path

import pytest

from localai_app.engine.runtimes import discover
from tests.helpers.engine_bundle import made_engine, manifest_of
from tools.package import engine, glibc
from tools.package.engine_plan import PLANS, UNSHIPPED, engine_id, this_platform

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads ELF files")

OF_THE_SYSTEM = re.compile(r"(libc|libm|libstdc\+\+)\.so\.6|libdl\.so\.2|libpthread\.so\.0|libgcc_s\.so\.1|ld-linux-.*")
OF_THE_ENGINE = {"libggml-base.so.0", "libggml.so.0"}
FOLDERS = re.compile(rb"/(?:home|root|tmp|work|builds?|Users|var)/[\w./-]{3,}")
GCC_FLOORS = {"x86_64": {"CXXABI": (1, 3, 13), "GCC": (12, 0, 0)}, "aarch64": {"CXXABI": (1, 3, 15), "GCC": (14, 0, 0)}}
"""Of libstdc++ and libgcc_s in Ubuntu 22.04 and, for ARM, 24.04."""


@pytest.fixture(scope="module")
def folder() -> Path:
    return made_engine()


def libraries(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.so*") if path.is_file())


def test_every_file_is_listed_with_its_checksum(folder: Path) -> None:
    manifest = manifest_of(folder)
    listed = {entry.path: (entry.size_bytes, entry.sha256) for entry in manifest.files}
    there = {
        path.relative_to(folder).as_posix(): (path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in folder.rglob("*") if path.is_file() and path.name != "engine.json"}
    assert listed == there
    assert set(manifest.backends) <= set(listed)


def test_it_says_what_it_was_made_of(folder: Path) -> None:
    manifest = manifest_of(folder)
    assert manifest.engine_id == folder.name == engine_id(manifest.bindings)
    assert manifest.platform == this_platform()
    assert manifest.source_sha256 in engine.LOCK.read_text(encoding="utf-8")
    decisive = {f"-DGGML_{name}" for name in ("NATIVE=OFF", "BACKEND_DL=ON", "OPENMP=OFF", "CPU_ALL_VARIANTS=ON")}
    assert decisive <= set(manifest.flags)
    assert manifest.patches == ("threads-give-way.patch", "vulkan-without-layer-settings.patch")
    assert any("12" in each or "13" in each or "gcc" in each.lower() for each in manifest.made_with), manifest.made_with


def test_all_variants_but_the_one_that_a_lie_would_kill(folder: Path) -> None:
    plan = PLANS[this_platform()]
    names = {Path(name).name for name in manifest_of(folder).backends}
    assert names == {f"libggml-cpu-{variant}.so" for variant in plan.variants} | {"libggml-rpc.so", "libggml-vulkan.so"}
    assert not any(variant in name for name in names for variant in UNSHIPPED)


def test_the_program_finds_it(folder: Path) -> None:
    found = discover([folder.parent])
    (build,) = [each for each in found.builds if each.engine_id == folder.name]
    assert found.refused == ()
    assert len(build.processors) == len(PLANS[this_platform()].variants)
    assert [path.name for path in build.graphics] == ["libggml-vulkan.so"]
    assert [path.name for path in build.companions] == ["libggml-rpc.so"]


def test_each_library_is_there_once_and_no_links(folder: Path) -> None:
    contents = [hashlib.sha256(path.read_bytes()).digest() for path in libraries(folder)]
    assert len(contents) == len(set(contents))
    assert not [path for path in folder.rglob("*") if path.is_symlink()]
    total = sum(path.stat().st_size for path in libraries(folder))
    assert total < 60_000_000, f"{total / 1e6:.0f} MB"


def test_they_need_nothing_that_a_desktop_may_lack(folder: Path) -> None:
    for path in libraries(folder):
        foreign = {name for name in glibc.read_elf(path).needed if not OF_THE_SYSTEM.fullmatch(name)} - OF_THE_ENGINE
        assert foreign == ({"libvulkan.so.1"} if "vulkan" in path.name else set()), path.name


def test_they_run_with_the_oldest_systems_that_are_supported(folder: Path) -> None:
    from elftools.elf.elffile import ELFFile
    from elftools.elf.gnuversions import GNUVerNeedSection

    machine = platform.machine()
    assert glibc.check_floor(folder) <= glibc.FLOORS[machine]
    newest: dict[str, tuple[int, ...]] = {}
    for path in libraries(folder):
        with path.open("rb") as file:
            for section in ELFFile(file).iter_sections():
                if isinstance(section, GNUVerNeedSection):
                    for _library, symbols in section.iter_versions():
                        for symbol in symbols:
                            family, _line, number = symbol.name.partition("_")
                            if number.replace(".", "").isdigit():
                                newest[family] = max(newest.get(family, ()), tuple(map(int, number.split("."))))
    assert {family for family in newest if newest[family] > GCC_FLOORS[machine].get(family, (99,))} == set()
    assert "GLIBC" in newest


def test_they_find_each_other_and_name_no_folder_of_the_computer_that_made_them(folder: Path) -> None:
    from elftools.elf.dynamic import DynamicSection
    from elftools.elf.elffile import ELFFile

    for path in libraries(folder):
        tags: dict[str, str] = {}
        with path.open("rb") as file:
            for section in ELFFile(file).iter_sections():
                if isinstance(section, DynamicSection):
                    for tag in section.iter_tags():
                        for kind, attribute in (("DT_SONAME", "soname"), ("DT_RPATH", "rpath"), ("DT_RUNPATH", "runpath")):
                            if tag.entry.d_tag == kind:
                                tags[kind] = getattr(tag, attribute)
        search = tags.get("DT_RUNPATH", tags.get("DT_RPATH"))
        assert search == ("$ORIGIN/.." if path.parent.name == "backends" else "$ORIGIN"), path.name
        if path.name in OF_THE_ENGINE:
            assert tags["DT_SONAME"] == path.name
        assert not FOLDERS.findall(path.read_bytes()), path.name


def test_a_second_build_takes_no_time(folder: Path) -> None:
    started_s = time.monotonic()
    assert engine.build() == folder
    assert time.monotonic() - started_s < 2
