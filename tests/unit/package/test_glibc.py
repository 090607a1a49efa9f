"""What ELF files need of the system, read from files that were compiled here."""

from __future__ import annotations

import dataclasses
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.dev.console import StepError
from tools.package import glibc

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux") or shutil.which("cc") is None, reason="compiles for Linux")

SOURCE = """
#include <math.h>
#include <string.h>
double answer(double x, char *to, const char *from) { strcpy(to, from); return pow(x, 3.3); }
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("elf")
    (folder / "a.c").write_text(SOURCE)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", folder / "libanswer.so", folder / "a.c", "-lm"], check=True)
    return folder / "libanswer.so"


def test_the_newest_symbol_and_the_libraries_are_read(library: Path) -> None:
    facts = glibc.read_elf(library)
    assert {"libm.so.6", "libc.so.6"} <= set(facts.needed)
    # pow() got a new version with glibc 2.29.
    assert facts.glibc >= (2, 29)
    assert glibc.outside_libraries(library.parent).keys() == set(facts.needed)


def test_only_elf_files_are_read(library: Path) -> None:
    (library.parent / "text.so").write_text("no library")
    (library.parent / "link.so").symlink_to(library)
    assert list(glibc.elf_files(library.parent)) == [library]


def test_a_file_that_needs_a_newer_system_is_named(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert glibc.check_floor(library.parent) == glibc.read_elf(library).glibc
    monkeypatch.setitem(glibc.FLOORS, platform.machine(), (2, 20))
    with pytest.raises(StepError, match=r"newer system than 2\.20: libanswer\.so needs glibc 2\."):
        glibc.check_floor(library.parent)


def test_libstdcxx_may_be_as_new_as_on_the_oldest_system_for_each_machine(
    library: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ubuntu 24.04 and Debian 13, the oldest for ARM, have GCC 14; what is compiled there asks for its symbols."""
    needed = dataclasses.replace(glibc.read_elf(library), libstdcxx=(3, 4, 32), glibc=())
    monkeypatch.setattr(glibc, "read_elf", lambda _path: needed)
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert glibc.check_floor(library.parent) == ()
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    with pytest.raises(StepError, match=r"libanswer\.so needs libstdc\+\+ 3\.4\.32"):
        glibc.check_floor(library.parent)
