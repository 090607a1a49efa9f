"""setup.exe, the program and the uninstaller under Wine; two libraries that Wine lacks are stood in for.

What this proves and what not stands in docs/releasing.md. Without Wine it is skipped, and fails in CI, which installs it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from localai_app import __version__
from tests.helpers.real_models import smollm2_path
from tools.package import engine_windows, windows

Needs = Callable[[str | Path], Path]
STAND_INS = Path(__file__).parent / "wine"
TIMEOUT_S = 240
"""For one command; on a quiet computer none takes a fifth of this."""
UNINSTALL_ENTRY = r"HKCU\Software\Microsoft\Windows\CurrentVersion\Uninstall\Local AI"

pytestmark = pytest.mark.timeout(600)


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

    def start(self) -> None:
        """Make the disk and the registry, as Windows 10."""
        self.drive.parent.mkdir(exist_ok=True)
        for command in (
            ("wineboot", "--init"),
            ("reg", "add", r"HKCU\Software\Wine", "/v", "Version", "/t", "REG_SZ", "/d", "win10", "/f"),
        ):
            done = self.run(*command)
            assert done.returncode == 0, done

    def end(self) -> None:
        # Its status is 1 where the server has ended by itself.
        subprocess.run(["wineserver", "-k"], env=self._environment, check=False)
        subprocess.run(["wineserver", "-w"], env=self._environment, check=False, timeout=60)

    def uninstall(self, folder: Path, *options: str) -> None:
        """The uninstaller goes on in a copy of itself, so that it can remove itself: the last thing that it does."""
        program = folder / "uninstall.exe"
        assert self.run(program, "/S", *options).returncode == 0
        self.is_installed = False
        psutil.wait_procs(self._copies_of_uninstaller(), timeout=TIMEOUT_S)
        assert not program.exists()

    def _copies_of_uninstaller(self) -> list[psutil.Process]:
        # Wine's programs are processes of this system, so that they need not be asked for through Wine.
        return [
            process for process in psutil.process_iter(["cmdline", "environ"])
            if "~nsu" in " ".join(process.info["cmdline"] or ())
            and (process.info["environ"] or {}).get("WINEPREFIX") == self._environment["WINEPREFIX"]]

    @property
    def local(self) -> Path:
        return next((self.drive / "users").glob("[!P]*")) / "AppData" / "Local"

    @property
    def program(self) -> Path:
        return self.local / "Programs" / "Local AI"


@pytest.fixture(scope="module")
def setup(needs: Needs) -> Path:
    return needs(f"for-tests/localai-app-{__version__}-windows-x64-setup.exe")


@pytest.fixture(scope="module")
def computer(setup: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Computer]:
    if shutil.which("wine") is None:
        reason = "Wine is not installed: `apt-get install --no-install-recommends wine wine64`"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    found = Computer(tmp_path_factory.mktemp("wine"))
    try:
        found.start()
        _add_stand_ins(found)
        yield found
    finally:
        found.end()


def _add_stand_ins(computer: Computer) -> None:
    scratch = computer.drive.parent
    for source in STAND_INS.glob("*.c"):
        library = computer.drive / "windows" / "system32" / f"{source.stem}.dll"
        subprocess.run(
            [engine_windows.zig_compiler(), "cc", "-target", "x86_64-windows-gnu", "-Os", "-s", "-shared", "-nostdlib",
             "-fno-builtin", "-fno-sanitize=all", "-Wl,--entry=entry", "-o", library, source, "-ladvapi32"],
            check=True, env=os.environ | {"ZIG_LOCAL_CACHE_DIR": str(scratch), "ZIG_GLOBAL_CACHE_DIR": str(scratch)})


@pytest.fixture
def installed(computer: Computer, setup: Path) -> Path:
    if not computer.is_installed:
        assert computer.run(setup, "/S").returncode == 0
        computer.is_installed = True
    return computer.program


def test_setup_installs_the_tree_and_an_entry_to_remove_it(installed: Path, computer: Computer, needs: Needs) -> None:
    tree = needs(f"for-tests/{windows.TREE}")
    wanted = {path.relative_to(tree) for path in tree.rglob("*") if path.is_file()}
    found = {path.relative_to(installed) for path in installed.rglob("*") if path.is_file()}
    assert {path.as_posix() for path in found ^ wanted} == {"uninstall.exe", "installed-files.txt"}
    entry = computer.run("reg", "query", UNINSTALL_ENTRY).stdout
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


def test_every_page_of_the_window_is_drawn(installed: Path, computer: Computer) -> None:
    # The part of --self-check that Wine can do: the whole imports NumPy's core, which calls what Wine's C library lacks.
    drawn = computer.run(installed / "localai-app.exe", "--self-check", "frame", "--data-dir", r"C:\drawn")
    assert (drawn.returncode, json.loads(drawn.stdout)) == (0, {"frame": "works"}), drawn


def test_a_real_model_answers(installed: Path, computer: Computer) -> None:
    model = "Z:" + str(smollm2_path()).replace("/", "\\")
    asked = computer.run(
        installed / "localai-app.exe", "chat", model, "--prompt", "Hello! Who are you?", "--temperature", "0",
        "--max-tokens", "12", "--ctx", "512", "--json")
    assert asked.returncode == 0, asked
    assert json.loads(asked.stdout)["text"].startswith("Hello!"), asked


def test_an_update_and_the_uninstaller_remove_what_was_installed_and_keep_the_rest(
    installed: Path, computer: Computer, setup: Path,
) -> None:
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
    entry = computer.run("reg", "query", UNINSTALL_ENTRY)
    assert entry.returncode != 0


def test_data_are_deleted_when_asked_and_other_letters_are_no_hindrance(computer: Computer, setup: Path) -> None:
    # NSIS takes no quotation marks around a folder, so here it has no blank.
    assert computer.run(setup, "/S", "/D=C:\\Jürgen-Ж").returncode == 0
    folder = computer.drive / "Jürgen-Ж"
    assert computer.run(folder / "localai-app.exe", "--version").stdout.strip() == f"localai-app {__version__}"
    data, neighbour = computer.local / "localai-app", computer.local / "localai-app-of-another"
    for each in (data / "models", neighbour):
        each.mkdir(parents=True, exist_ok=True)
        (each / "Жук.gguf").write_text("a model")
    computer.uninstall(folder, "/DELETEDATA=1")
    assert not folder.exists()
    assert not data.exists()
    assert (neighbour / "Жук.gguf").exists()
