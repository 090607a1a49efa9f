"""setup.exe from a folder: packaging/windows/setup.nsi, compiled by NSIS.

The folder's files are listed in the installer, so that an update and the uninstaller remove exactly what was installed.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from localai_app import __version__
from tools.dev.console import StepError
from tools.dev.environment import ROOT, clean_environment
from tools.package import windows_signing
from tools.package.artefacts import FLOORS
from tools.package.frozen import DATE_S
from tools.package.windows_resources import icon_file, program_icons, version_numbers

SCRIPT = ROOT / "packaging" / "windows" / "setup.nsi"
_WINDOWS_PLACE = Path("C:/Program Files (x86)/NSIS/makensis.exe")
_ADDED = ("uninstall.exe", "installed-files.txt")
STUB = "x86-unicode" if sys.platform == "win32" else "amd64-unicode"
"""What setup.exe itself is. NSIS for Windows has only stubs of 32 bits, which run everywhere; Wine may have only 64 bits."""


def missing() -> str:
    """What this computer lacks for an installer; empty if nothing."""
    return "" if _makensis() else "It needs makensis (package nsis; on Windows the program NSIS)."


def make(tree: Path, target: Path, processor: str = "x64", *, is_quick: bool = False, stub: str = STUB) -> Path:
    """`target/localai-app-VERSION-windows-PROCESSOR-setup.exe` with all files of `tree`; StepError in words.

    `is_quick`: compressed in a tenth of the time and less well, for tests.
    """
    minimum, minimum_words = FLOORS[f"windows-{processor}"]
    setup = target / f"localai-app-{__version__}-windows-{processor}-setup.exe"
    sign = os.environ.get(windows_signing.VARIABLE, "")
    if not sign:
        print(f"{setup.name} is not signed: {windows_signing.VARIABLE} is not set.", flush=True)
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        (scratch / "install.nsh").write_text(install_commands(tree), encoding="utf-8-sig")
        (scratch / "files.txt").write_bytes(file_list(tree).encode("utf-16-le"))
        icon = scratch / "localai-app.ico"
        icon.write_bytes(icon_file(program_icons(ROOT / "resources" / "icons")))
        for path in scratch.iterdir():
            os.utime(path, (DATE_S, DATE_S))
        made = scratch / setup.name
        definitions = {
            "TREE": str(tree), "LISTS": str(scratch), "ICON": str(icon), "OUTPUT": str(made), "VERSION": __version__,
            "VERSION_NUMBERS": ".".join(map(str, version_numbers(__version__))), "SIZE_KIB": str(_size_kib(tree)),
            "STUB": stub, "PROCESSOR": processor, "MINIMUM_BUILD": minimum.split(".")[-1], "MINIMUM_SYSTEM": minimum_words,
            **({"SIGN_COMMAND": sign} if sign else {}), **({"QUICK": "1"} if is_quick else {}),
        }
        _run_makensis(definitions)
        shutil.move(made, setup)
    return setup


def install_commands(tree: Path) -> str:
    """NSIS's commands that write every file of a folder, in an order that does not depend on the file system."""
    lines: list[str] = []
    folder: Path | None = None
    for path in _files(tree):
        relative = path.relative_to(tree)
        if relative.parent != folder:
            folder = relative.parent
            inside = "" if folder == Path() else "\\" + _windows(folder)
            lines.append(f'SetOutPath "$INSTDIR{_escaped(inside)}"')
        lines.append(f'File "{_escaped(str(path))}"')
    return "\n".join(lines) + "\n"


def file_list(tree: Path) -> str:
    """The relative paths of a folder, files first, then its folders from the innermost on, each ending in a backslash."""
    files = [_windows(path.relative_to(tree)) for path in _files(tree)]
    folders = sorted((path.relative_to(tree) for path in tree.rglob("*") if path.is_dir()), reverse=True)
    folders.sort(key=lambda path: -len(path.parts))
    lines = [*files, *(f"{_windows(path)}\\" for path in folders)]
    outside = [line for line in lines if ".." in line or ":" in line or line in _ADDED]
    if outside:
        raise StepError(f"{outside[0]} cannot be a name in the installer.")
    return "".join(f"{line}\r\n" for line in lines)


def _files(tree: Path) -> list[Path]:
    found = [path for path in tree.rglob("*") if path.is_file()]
    return sorted(found, key=lambda path: (path.parent.relative_to(tree).parts, path.name))


def _size_kib(tree: Path) -> int:
    """What the uninstaller's entry tells: whole KiB that the files take."""
    return sum(-(-path.stat().st_size // 1024) for path in _files(tree))


def _windows(path: Path) -> str:
    return "\\".join(path.parts)


def _escaped(text: str) -> str:
    return text.replace("$", "$$") if "$INSTDIR" not in text else text


def _makensis() -> str | None:
    found = shutil.which("makensis")
    return found or (str(_WINDOWS_PLACE) if _WINDOWS_PLACE.is_file() else None)


def _run_makensis(definitions: dict[str, str]) -> None:
    program = _makensis()
    assert program is not None
    defined = [f"-D{key}={value}" for key, value in definitions.items()]
    command = [program, "-V2", "-INPUTCHARSET", "UTF8", *defined, str(SCRIPT)]
    environment = clean_environment() | {"SOURCE_DATE_EPOCH": str(DATE_S)}
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, env=environment)
    if done.returncode:
        words = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise StepError(f"{shlex.join(command[:1])} failed: {' '.join(words[-3:])[-400:]}")
