"""Windows' functions read from definition files, and imports that are in none of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.package.test_pe import library
from tools.package import pe
from tools.package.windows_functions import SystemFunctions, exported

DEFINITION = """; a comment
LIBRARY "KERNEL32.dll"

EXPORTS
ExitProcess
Sleep@4
Numbered @12
; left out
Data DATA
short == _long ; another name for it
"Quoted"
"""


@pytest.fixture
def of_windows(tmp_path: Path) -> SystemFunctions:
    zig = tmp_path / "zig" / "zig"
    folder = zig.parent / "lib" / "libc" / "mingw" / "lib-common"
    folder.mkdir(parents=True)
    (folder / "kernel32.def").write_text(DEFINITION)
    (folder / "icu.def").write_text("LIBRARY icu.dll\nEXPORTS\nucnv_open\n")
    (folder / "ws2_32.def").write_text("LIBRARY WS2_32.dll\nEXPORTS\nbind@12\n")
    (folder / "api-ms-win-core-path-l1-1-0.def").write_text("LIBRARY x\nEXPORTS\nPathCchSkipRoot\n")
    return SystemFunctions(zig)


def test_names_are_those_of_the_library() -> None:
    assert exported(DEFINITION) == {"ExitProcess", "Sleep", "Numbered", "Data", "_long", "Quoted"}


def test_what_a_library_lacks_is_named(of_windows: SystemFunctions) -> None:
    assert of_windows.absent("KERNEL32.dll", ["Sleep", "short", "ExitProcezz"]) == ["ExitProcezz", "short"]
    assert of_windows.absent("icuuc.dll", ["ucnv_open"]) == []
    assert of_windows.absent("gone.dll", ["x"]) is None


def test_a_number_stands_for_its_function(of_windows: SystemFunctions) -> None:
    assert of_windows.absent("ws2_32.dll", ["#2"]) == []
    assert of_windows.absent("ws2_32.dll", ["#3", "#60000"]) != []


def test_a_later_edition_of_a_set_has_at_least_the_functions_of_the_earlier(of_windows: SystemFunctions) -> None:
    assert of_windows.absent("api-ms-win-core-path-l1-1-2.dll", ["PathCchSkipRoot", "Other"]) == ["Other"]
    assert of_windows.absent("api-ms-win-core-path-l1-2-0.dll", ["PathCchSkipRoot"]) is None


def test_an_import_that_windows_lacks_is_a_problem_of_the_tree(of_windows: SystemFunctions, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "start.exe").write_bytes(library({"KERNEL32.dll": ["ExitProcess", "Sleep"], "gdi32.dll": ["LineTo"]}, []))
    report = pe.check_tree(tree, of_windows)
    assert (report.problems, report.unchecked) == ((), {"gdi32.dll"})
    (tree / "start.exe").write_bytes(library({"KERNEL32.dll": ["ExitProcess", "Slep"]}, []))
    assert pe.check_tree(tree, of_windows).problems == ("start.exe needs Slep of kernel32.dll, which has no such function",)
