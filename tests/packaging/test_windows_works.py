"""Whose work each file of the Windows tree is: notices of all of them, and names and versions in the programs themselves."""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from localai_app import __version__
from tests.packaging.version_texts import version_texts
from tools.package import engine_resources, engine_windows, notices, pe, windows, windows_notices, zig_runtime

Needs = Callable[[str | Path], Path]
UNTOUCHED = "passed on as in its maker's wheel, whose hash the lock file has; a change would break its signature or its notices"
WITHOUT_VERSION = {
    "python/DLLs/libffi-8.dll": "signed by the Python Software Foundation as it is",
    **dict.fromkeys((
        "python/packages/PySide6/Qt*.pyd", "python/packages/PySide6/pyside6.abi3.dll", "python/packages/shiboken6/*",
        "python/packages/_cffi_backend.*", "python/packages/cryptography/*", "python/packages/markupsafe/*",
        "python/packages/msgspec/*", "python/packages/numpy/*", "python/packages/numpy.libs/libscipy_openblas64_-*",
        "python/packages/psutil/*", "python/packages/pydantic_core/*", "python/packages/regex/*", "python/packages/rpds/*",
        "python/packages/yaml/*"), UNTOUCHED),
}
"""Programs whose properties are empty, with the reason."""


@pytest.fixture(scope="module")
def tree(needs: Needs) -> Path:
    return needs(f"for-tests/{windows.TREE}")


@pytest.fixture(scope="module")
def works(tree: Path) -> dict[str, set[str]]:
    """The files of each work."""
    index = json.loads((tree / windows_notices.INDEX_FOLDER / notices.INDEX_NAME).read_text(encoding="utf-8"))
    return {work["name"]: set(work["contains"]) for work in index}


def programs(tree: Path) -> list[str]:
    return [path.relative_to(tree).as_posix() for path in sorted(tree.rglob("*")) if path.is_file() and pe.is_program(path)]


def test_each_file_belongs_to_a_work_and_each_work_has_its_terms(tree: Path, works: dict[str, set[str]]) -> None:
    index = tree / windows_notices.INDEX_FOLDER
    assert notices.unlisted_files(tree, index) == []
    assert notices.works_without_text(tree, index) == []
    assert set(works) >= {
        "Local AI", "Python", "llama.cpp", "Qt, PySide6 and Shiboken", "numpy", "Microsoft Visual C++ runtime",
        "MinGW-w64 runtime"}
    text = (tree / notices.TEXT_NAME).read_text(encoding="utf-8")
    for words in ("Copyright (c) 2009 - 2013 by the mingw-w64 project", "Microsoft Distributable Code", "The ggml authors",
                  "Zig contributors", "LLVM Exceptions to the Apache 2.0 License"):
        assert words in text
    assert str(windows.ROOT) not in text


def test_each_wheel_of_the_tree_is_a_work(tree: Path, works: dict[str, set[str]]) -> None:
    found = {path.parent.name for path in (tree / "python" / "packages").glob("*.dist-info/METADATA")}
    listed = {name.split("/")[2] for files in works.values() for name in files if ".dist-info/METADATA" in name}
    assert found == listed
    assert len(works) > 40


def test_the_version_of_python_in_the_notices_is_that_of_its_library(tree: Path) -> None:
    facts = version_texts(tree / "python" / "python311.dll")
    assert f"\n  Python {facts['ProductVersion']} (" in (tree / notices.TEXT_NAME).read_text(encoding="utf-8")


def test_what_zig_links_in_belongs_to_a_work(works: dict[str, set[str]]) -> None:
    given = engine_windows.linked_in()
    definitions = {
        path.name.split(".")[0] for path in (engine_windows.zig_compiler().parent / "lib/libc/mingw/lib-common").iterdir()}
    imported = {name for name in given if name.removesuffix(".lib") in definitions}
    assert "kernel32.lib" in imported
    linked = given - imported
    assert {"libmingw32.lib", "c++.lib"} <= linked
    assert linked <= set(zig_runtime.ARCHIVES)
    assert set(zig_runtime.ARCHIVES.values()) <= set(works)


def test_each_program_of_ours_says_what_it_is(tree: Path, works: dict[str, set[str]]) -> None:
    own = [name for name in programs(tree) if name in works["Local AI"]]
    assert own == ["LocalAI.exe", "localai-app.exe"]
    for name in own:
        facts = version_texts(tree / name)
        assert (facts["ProductName"], facts["FileVersion"]) == ("Local AI", __version__)


def test_each_library_of_the_engine_says_what_it_is(tree: Path, works: dict[str, set[str]]) -> None:
    libraries = [name for name in programs(tree) if name in works["llama.cpp"]]
    assert len(libraries) == 3 + len(engine_windows.PLAN.backends)
    descriptions = set()
    for name in libraries:
        facts = version_texts(tree / name)
        assert facts["ProductName"] == engine_resources.PRODUCT, name
        assert facts["CompanyName"] == "The ggml authors", name
        assert re.fullmatch(r"Copyright \(c\) [-\d]+ The ggml authors\. MIT licence\.", facts["LegalCopyright"]), name
        assert facts["OriginalFilename"] == Path(name).name
        assert re.fullmatch(r"\d+\.\d+\.\d+\.\d+", facts["FileVersion"]), name
        assert facts["ProductVersion"].split()[0] in name
        descriptions.add(facts["FileDescription"])
    assert len(descriptions) == len(libraries)


def test_each_other_program_has_its_makers_version_or_a_reason_why_not(tree: Path, works: dict[str, set[str]]) -> None:
    ours = works["Local AI"] | works["llama.cpp"]
    empty = [name for name in programs(tree) if name not in ours and not version_texts(tree / name).get("FileVersion")]
    matched = {name: [pattern for pattern in WITHOUT_VERSION if fnmatch.fnmatchcase(name, pattern)] for name in empty}
    assert [name for name, patterns in matched.items() if len(patterns) != 1] == []
    assert {pattern for patterns in matched.values() for pattern in patterns} == set(WITHOUT_VERSION)
