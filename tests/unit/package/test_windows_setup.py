"""What goes into setup.exe and its list, the version and icon of Windows programs, and what of a wheel is taken along."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from tools.dev.console import StepError
from tools.package import windows_packages, windows_resources, windows_setup
from tools.package.platform_files import prepare, version_script

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "python" / "packages").mkdir(parents=True)
    for name in ("a.exe", "python/b.dll", "python/packages/ä $x.pyc"):
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def test_the_list_has_every_file_then_the_folders_from_the_inside(tree: Path) -> None:
    assert windows_setup.file_list(tree).split("\r\n") == [
        "a.exe", "python\\b.dll", "python\\packages\\ä $x.pyc", "python\\packages\\", "python\\", ""]


def test_every_file_is_written_where_it_lies(tree: Path) -> None:
    lines = windows_setup.install_commands(tree).splitlines()
    assert lines == [
        'SetOutPath "$INSTDIR"', f'File "{tree}/a.exe"', 'SetOutPath "$INSTDIR\\python"', f'File "{tree}/python/b.dll"',
        'SetOutPath "$INSTDIR\\python\\packages"', f'File "{tree}/python/packages/ä $$x.pyc"']


def test_names_that_would_lead_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    (tmp_path / "c:evil").write_bytes(b"x")
    with pytest.raises(StepError, match="cannot be a name"):
        windows_setup.file_list(tmp_path)


@pytest.mark.parametrize(("version", "numbers"), [
    ("0.1.0", (0, 1, 0, 0)), ("1.2.3rc4", (1, 2, 3, 0)), ("2.0.dev1", (2, 0, 0, 0)), ("1.2.3.4", (1, 2, 3, 4)),
    ("", (0, 0, 0, 0))])
def test_four_numbers_of_a_version(version: str, numbers: tuple[int, ...]) -> None:
    assert windows_resources.version_numbers(version) == numbers


def test_the_icon_has_all_sizes() -> None:
    pngs = windows_resources.program_icons(ROOT / "resources" / "icons")
    data = windows_resources.icon_file(pngs)
    assert struct.unpack_from("<HHH", data) == (0, 1, len(windows_resources.ICON_SIZES))
    for at, (size, picture) in enumerate(pngs):
        entry = struct.unpack_from("<BBBBHHII", data, 6 + 16 * at)
        assert entry[0] == size % 256
        assert data[entry[7]:entry[7] + entry[6]] == picture


@pytest.mark.parametrize(("name", "is_taken"), [
    ("PySide6/QtWidgets.pyd", True), ("PySide6/Qt6Core.dll", True), ("PySide6/plugins/platforms/qwindows.dll", True),
    ("PySide6/Qt6Quick.dll", False), ("PySide6/QtQml.pyd", False), ("PySide6/designer.exe", False),
    ("PySide6/plugins/sqldrivers/qsqlite.dll", False), ("PySide6/msvcp140.dll", False), ("numpy/linalg/lapack_lite.pyd", True),
    ("numpy/tests/test_x.py", False), ("numpy/f2py/__init__.py", False), ("qtawesome/fonts/phosphor-1.ttf", True),
    ("qtawesome/fonts/fontawesome5.ttf", False), ("typer-0.1.dist-info/METADATA", True), ("typer-0.1.dist-info/RECORD", False),
    ("../outside.py", False), ("/absolute.py", False), ("folder/", False)])
def test_what_of_a_wheel_is_taken_along(name: str, is_taken: bool) -> None:
    assert windows_packages.is_shipped(name) is is_taken


def test_pins_that_only_count_elsewhere_are_left_out() -> None:
    text = windows_packages.requirements()
    assert "colorama==" in text
    assert "--hash=sha256:" in text
    assert "jsfetch" not in text
    assert " ; " not in text
    assert text.count("numpy==") == 1


def test_pyinstaller_gets_the_version_and_icons_of_each_system(tmp_path: Path) -> None:
    prepare(tmp_path / "windows", "win32")
    prepare(tmp_path / "mac", "darwin")
    prepare(tmp_path / "linux", "linux")
    assert sorted(path.name for path in (tmp_path / "windows").iterdir()) == ["app.ico", "version_info.txt"]
    icon = (tmp_path / "mac" / "app.icns").read_bytes()
    assert icon[:4] == b"icns"
    assert struct.unpack(">I", icon[4:8])[0] == len(icon)
    assert not (tmp_path / "linux").exists()
    script = version_script(windows_resources.VersionInfo("1.2.3", "Local AI", "LocalAI.exe"))
    compile(script, "version_info.txt", "eval")
    assert "filevers=(1, 2, 3, 0)" in script
