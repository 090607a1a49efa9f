"""Where the files of a bundle came from, by PyInstaller's tables, also as it writes them on Windows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.dev.console import StepError
from tools.package import windows_runtime
from tools.package.frozen import CONTENTS, bundled_in
from tools.package.origins import Origins

WHEEL = {name: b"of Microsoft" for name in windows_runtime.RUNTIMES}


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A bundle as on Windows: a library of Qt, and the program."""
    library = tmp_path / "made" / CONTENTS / "PySide6" / "Qt6Core.dll"
    library.parent.mkdir(parents=True)
    library.write_bytes(b"x")
    (tmp_path / "made" / "localai-app.exe").write_bytes(b"x")
    (tmp_path / "COLLECT-00.toc").write_text(
        repr([("PySide6\\Qt6Core.dll", "C:\\wheel\\Qt6Core.dll", "BINARY"), ("localai-app.exe", "C:\\exe", "EXECUTABLE")]))
    (tmp_path / "PYZ-00.toc").write_text(repr([("httpx2", "C:\\wheel\\httpx2.py", "PYMODULE")]))
    return tmp_path / "made"


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package that Microsoft's libraries come from."""
    folder = tmp_path / "site" / "runtime_stand_in"
    folder.mkdir(parents=True)
    for name, content in {"__init__.py": b"", **WHEEL}.items():
        (folder / name).write_bytes(content)
    monkeypatch.syspath_prepend(folder.parent)
    monkeypatch.setattr(windows_runtime, "WHEEL", folder.name)
    return folder


pyinstaller = pytest.mark.usefixtures("a_bootloader")


@pytest.fixture
def a_bootloader(monkeypatch: pytest.MonkeyPatch) -> Path:
    """PyInstaller is in the environment for packages only."""
    place = Path("/nowhere/PyInstaller/__init__.py")
    monkeypatch.setattr("tools.package.frozen._bootloader", lambda: place)
    return place


@pyinstaller
def test_files_are_found_in_tables_with_the_separators_of_windows(made: Path) -> None:
    found = bundled_in(made, made.parent, {})
    assert found.files[f"{CONTENTS}/PySide6/Qt6Core.dll"] == Path("C:\\wheel\\Qt6Core.dll")
    assert found.modules == {"httpx2": Path("C:\\wheel\\httpx2.py")}


@pyinstaller
def test_a_file_that_no_table_names_ends_the_build(made: Path) -> None:
    (made / CONTENTS / "strange.dll").write_bytes(b"x")
    with pytest.raises(StepError, match=r"where strange\.dll of the bundle came from"):
        bundled_in(made, made.parent, {})


@pyinstaller
def test_microsofts_libraries_lie_beside_the_program_and_are_named_as_theirs(made: Path, wheel: Path) -> None:
    placed = windows_runtime.place(made, "win32")
    assert {path.name for path in made.glob("*.dll")} == set(windows_runtime.RUNTIMES)
    found = bundled_in(made, made.parent, placed)
    assert found.files["msvcp140.dll"] == wheel / "msvcp140.dll"
    work = Origins().component_of(found.files["vcruntime140_1.dll"])
    assert work is not None
    assert "Microsoft" in work.name
    assert "Distributable Code" in work.texts[0]


def test_on_other_systems_nothing_is_put_there(tmp_path: Path) -> None:
    assert windows_runtime.place(tmp_path, "linux") == {}
    assert list(tmp_path.iterdir()) == []


def test_a_package_without_them_ends_the_build(tmp_path: Path, wheel: Path) -> None:
    (wheel / "msvcp140.dll").unlink()
    with pytest.raises(StepError, match=r"lacks msvcp140\.dll"):
        windows_runtime.place(tmp_path, "win32")


@pytest.mark.parametrize(("name", "is_one"), [
    ("MSVCP140.dll", True), ("msvcp140_codecvt_ids.dll", True), ("vcruntime140_1.dll", True), ("concrt140.dll", True),
    ("msvcp140-0f2ea95580b32bcfc81c235d5751ce78.dll", True), ("Qt6Core.dll", False), ("xmsvcp140.dll", False)])
def test_names_of_microsofts_libraries(name: str, is_one: bool) -> None:
    assert windows_runtime.is_runtime(name) is is_one
