"""setup.exe, the program and the uninstaller under Wine, on demand; two libraries that Wine lacks are stood in for.

Run with LOCALAI_TEST_WINE=1 where Wine is installed: it takes many minutes, and 700 MB that CI does not have.
What this proved and what not stands in docs/releasing.md.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from localai_app import __version__
from tools.package import engine_windows, windows

Needs = Callable[[str | Path], Path]
STAND_INS = Path(__file__).parent / "wine"
TIMEOUT_S = 400

pytestmark = [
    pytest.mark.skipif(os.environ.get("LOCALAI_TEST_WINE") != "1", reason="LOCALAI_TEST_WINE=1 runs setup.exe under Wine"),
    pytest.mark.skipif(shutil.which("wine") is None, reason="Wine is not installed"), pytest.mark.timeout(900)]


class Computer:
    """A Windows of its own, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.drive = folder / "drive_c"
        self.is_installed = False
        self._environment = {
            **os.environ, "WINEPREFIX": str(folder), "WINEDEBUG": "-all", "DISPLAY": "", "QT_QPA_PLATFORM": "offscreen",
            "WINEDLLOVERRIDES": "mscoree=;mshtml=;winemenubuilder.exe="}

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        # Through pipes: Wine gives Python no usable handle of a plain file.
        return subprocess.run(
            ["wine", *map(str, command)], env=self._environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            errors="replace", timeout=TIMEOUT_S, check=False, cwd=self.drive.parent)

    def end(self) -> None:
        subprocess.run(["wineserver", "-k"], env=self._environment, check=False)
        subprocess.run(["wineserver", "-w"], env=self._environment, check=False, timeout=60)

    def uninstall(self, folder: Path, *options: str) -> None:
        """The uninstaller goes on in a copy of itself, so that it can remove itself: the last thing that it does."""
        program = folder / "uninstall.exe"
        assert self.run(program, "/S", *options).returncode == 0
        self.is_installed = False
        end_s = time.monotonic() + TIMEOUT_S
        while program.exists() and time.monotonic() < end_s:
            time.sleep(0.2)
        time.sleep(3)

    @property
    def local(self) -> Path:
        return next((self.drive / "users").glob("[!P]*")) / "AppData" / "Local"

    @property
    def program(self) -> Path:
        return self.local / "Programs" / "Local AI"


@pytest.fixture(scope="module")
def computer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Computer]:
    folder = tmp_path_factory.mktemp("wine")
    found = Computer(folder)
    folder.mkdir(exist_ok=True)
    found.run("wineboot", "--init")
    found.run("reg", "add", r"HKCU\Software\Wine", "/v", "Version", "/t", "REG_SZ", "/d", "win10", "/f")
    for source in STAND_INS.glob("*.c"):
        library = found.drive / "windows" / "system32" / f"{source.stem}.dll"
        subprocess.run(
            [engine_windows.zig_compiler(), "cc", "-target", "x86_64-windows-gnu", "-Os", "-s", "-shared", "-nostdlib",
             "-fno-builtin", "-fno-sanitize=all", "-Wl,--entry=entry", "-o", library, source, "-ladvapi32"],
            check=True, env=os.environ | {"ZIG_LOCAL_CACHE_DIR": str(folder), "ZIG_GLOBAL_CACHE_DIR": str(folder)})
    yield found
    found.end()


@pytest.fixture
def installed(computer: Computer, needs: Needs) -> Path:
    setup = needs(f"for-tests/localai-app-{__version__}-windows-x64-setup.exe")
    if not computer.is_installed:
        assert computer.run(setup, "/S").returncode == 0
        computer.is_installed = True
    return computer.program


def test_setup_installs_the_tree_and_an_entry_to_remove_it(installed: Path, computer: Computer, needs: Needs) -> None:
    tree = needs(f"for-tests/{windows.TREE}")
    wanted = {path.relative_to(tree) for path in tree.rglob("*") if path.is_file()}
    found = {path.relative_to(installed) for path in installed.rglob("*") if path.is_file()}
    assert {path.as_posix() for path in found ^ wanted} == {"uninstall.exe", "installed-files.txt"}
    entry = computer.run("reg", "query", r"HKCU\Software\Microsoft\Windows\CurrentVersion\Uninstall\Local AI").stdout
    assert __version__ in entry
    assert "EstimatedSize" in entry
    for name in (r"hf\shell\open\command", r"LocalAI.gguf\shell\open\command"):
        assert 'LocalAI.exe" "%1"' in computer.run("reg", "query", rf"HKCU\Software\Classes\{name}", "/ve").stdout


def test_the_command_line_answers_with_its_exit_status(installed: Path, computer: Computer) -> None:
    shown = computer.run(installed / "localai-app.exe", "--version")
    assert (shown.returncode, shown.stdout.strip()) == (0, f"localai-app {__version__}")
    assert computer.run(installed / "localai-app.exe", "no-such-command").returncode == 2
    hardware = json.loads(computer.run(installed / "localai-app.exe", "hardware", "--json").stdout)
    assert hardware["system"] == "windows"
    assert hardware["memory"]["total_bytes"] > 1e9


def test_a_build_of_the_engine_passes_its_test(installed: Path, computer: Computer) -> None:
    assert "passed in" in computer.run(installed / "localai-app.exe", "runtimes", "--test").stdout


def test_the_self_check_starts_workers_and_renders_frames(installed: Path, computer: Computer) -> None:
    report = json.loads(computer.run(installed / "localai-app.exe", "--self-check").stdout)
    assert report["protocol"] == "works", report
    assert report["frame"] == "works", report


def test_an_update_and_the_uninstaller_remove_what_was_installed_and_keep_the_rest(
    installed: Path, computer: Computer, needs: Needs,
) -> None:
    setup = needs(f"for-tests/localai-app-{__version__}-windows-x64-setup.exe")
    data = computer.local / "localai-app"
    data.mkdir(exist_ok=True)
    (data / "kept.txt").write_text("a chat")
    (installed / "mine.txt").write_text("mine")
    (installed / "python" / "old.dll").write_text("of an older version")
    listing = installed / "installed-files.txt"
    strange = "python\\old.dll\r\n..\\..\\localai-app\\kept.txt\r\nC:\\windows\\win.ini\r\n"
    listing.write_bytes(strange.encode("utf-16-le") + listing.read_bytes())
    assert computer.run(setup, "/S").returncode == 0
    assert not (installed / "python" / "old.dll").exists()
    assert (data / "kept.txt").exists()
    assert (computer.drive / "windows" / "win.ini").exists()
    computer.uninstall(installed)
    assert [path.name for path in installed.rglob("*")] == ["mine.txt"]
    (installed / "mine.txt").unlink()
    assert (data / "kept.txt").exists()
    entry = computer.run("reg", "query", r"HKCU\Software\Microsoft\Windows\CurrentVersion\Uninstall\Local AI")
    assert entry.returncode != 0


def test_data_are_deleted_when_asked_and_other_letters_are_no_hindrance(computer: Computer, needs: Needs) -> None:
    setup = needs(f"for-tests/localai-app-{__version__}-windows-x64-setup.exe")
    # NSIS takes no quotation marks around a folder, so here it has no blank.
    assert computer.run(setup, "/S", "/D=C:\\Jürgen-Ж").returncode == 0
    folder = computer.drive / "Jürgen-Ж"
    assert computer.run(folder / "localai-app.exe", "--version").stdout.strip() == f"localai-app {__version__}"
    (computer.local / "localai-app").mkdir(exist_ok=True)
    computer.uninstall(folder, "/DELETEDATA=1")
    assert not (computer.local / "localai-app").exists()
