"""Opens an artefact for one run of the program in it, in the way its users do, and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tools.dev.console import StepError

STEP_TIMEOUT_S = 300


@contextmanager
def opened(artefact: Path, scratch: Path, program: str) -> Iterator[list[str]]:
    """The command that starts the program inside an artefact; StepError if it cannot be opened.

    Inside the block an installer is installed and an image mounted; after it they are not.
    """
    name = artefact.name
    if artefact.is_dir():
        yield [str(find_program(artefact, program))]
    elif name.endswith(".deb"):
        run_step(["dpkg-deb", "--extract", str(artefact), str(scratch / "root")])
        yield [str(find_program(scratch / "root", program))]
    elif name.endswith((".tar.xz", ".tar.gz", ".tar.zst")):
        (scratch / "unpacked").mkdir()
        run_step(["tar", "--extract", "--file", str(artefact), "--directory", str(scratch / "unpacked")])
        yield [str(find_program(scratch / "unpacked", program))]
    elif name.endswith(".AppImage"):
        # A program in an image that is mounted needs FUSE, which neither containers nor new releases bring.
        yield [str(artefact.absolute()), "--appimage-extract-and-run"]
    elif name.endswith(".exe"):
        with installed_on_windows(artefact, scratch / "installed", program) as command:
            yield command
    elif name.endswith(".dmg"):
        with mounted_on_macos(artefact, scratch / "mounted", program) as command:
            yield command
    else:
        raise StepError(f"{name} is no kind of file that is published.")


@contextmanager
def installed_on_windows(setup: Path, folder: Path, program: str) -> Iterator[list[str]]:
    """Install silently into a folder, and uninstall afterwards; nothing of the program may stay."""
    run_step(silent_line(setup.absolute(), f"/D={folder}"))
    try:
        yield [str(find_program(folder, program))]
    finally:
        uninstaller = folder / "uninstall.exe"
        # With _?= it runs in place, so that it is over when it returns; it then cannot remove itself.
        run_step(silent_line(uninstaller, f"_?={folder}"))
    left = [path.name for path in folder.rglob("*") if path.is_file() and path != uninstaller]
    if left:
        raise StepError(f"The uninstaller left {len(left)} files, among them {left[0]}.")


def silent_line(program: Path, last: str) -> str:
    """The command line of a silent NSIS program; it takes all after `/D=` or `_?=` for a folder, blanks too, without quotes."""
    return f'"{program}" /S {last}'


@contextmanager
def mounted_on_macos(image: Path, folder: Path, program: str) -> Iterator[list[str]]:
    """Mount a disk image read-only, as Finder does, and detach it afterwards."""
    folder.mkdir()
    run_step(["hdiutil", "attach", "-nobrowse", "-readonly", "-mountpoint", str(folder), str(image)])
    try:
        yield [str(find_program(folder, program))]
    finally:
        # By force, because macOS may still be reading what was just run.
        run_step(["hdiutil", "detach", "-force", str(folder)])


def find_program(folder: Path, program: str) -> Path:
    """The program's executable below a folder; links are passed over, because they may lead out of it."""
    wanted = f"{program}.exe" if sys.platform == "win32" else program
    found = [path for path in folder.rglob(wanted) if path.is_file() and not path.is_symlink() and os.access(path, os.X_OK)]
    if not found:
        raise StepError(f"There is no program {wanted} in it.")
    return min(found, key=lambda path: len(path.parts))


def run_step(command: Sequence[str] | str) -> None:
    """Run a program to its end; StepError with its last words if it fails. A text is a command line as Windows takes it."""
    program = command.split('"')[1] if isinstance(command, str) else command[0]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=STEP_TIMEOUT_S, check=False)
    except FileNotFoundError as failure:
        raise StepError(f"{program} is not there.") from failure
    except subprocess.TimeoutExpired as failure:
        raise StepError(f"{Path(program).name} did not end within {STEP_TIMEOUT_S} seconds.") from failure
    if done.returncode:
        tail = " ".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-3:])[-400:]
        raise StepError(f"{Path(program).name} failed with exit status {done.returncode}. {tail}".strip())
