"""Hands a downloaded installer to the system, after it was verified once more while nobody could change it.

Runs only on the user's click. Nothing is installed by the program itself but an AppImage, which is one file.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from localai_app import errors
from localai_app.errors import AppError
from localai_app.release.release_document import Artefact
from localai_app.services.installation import InstallationKind, appimage_file

_CHUNK_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class InstallStarted:
    """What was begun, in a sentence, and whether the program has to end for it."""

    sentence: str
    ends_program: bool = False


def plan_words(kind: InstallationKind, path: Path) -> str:
    """What `install` will do with a file, for the user to read before."""
    match kind:
        case InstallationKind.DEB:
            return f"Opens the package with your system's installer. In a terminal: {deb_command(path)}"
        case InstallationKind.SETUP:
            return "Starts the installer, and closes Local AI for it. Chats, models and settings stay."
        case InstallationKind.DMG:
            return "Opens the disk image. Quit Local AI, then drag the new one into Applications."
        case InstallationKind.APPIMAGE if (target := appimage_file()) is not None:
            return f"Replaces {target}; the new version runs from the next start on."
        case _:
            return "Shows the archive in its folder. Quit Local AI, then unpack it in place of the old folder."


def hand_words(kind: InstallationKind, path: Path) -> str:
    """How a file is installed by hand, for the command line, which installs nothing."""
    match kind:
        case InstallationKind.DEB:
            return deb_command(path)
        case InstallationKind.SETUP:
            return f"Quit Local AI, then start {path}"
        case InstallationKind.DMG:
            return f"Quit Local AI, open {path}, and drag the new one into Applications."
        case InstallationKind.APPIMAGE:
            return f"Make it executable and put it in place of {appimage_file() or 'the old one'}."
        case _:
            return "Quit Local AI, then unpack it in place of the old folder."


def deb_command(path: Path) -> str:
    """How a package is installed in a terminal."""
    return f"sudo apt install {shlex.quote(str(path))}"


def install(kind: InstallationKind, path: Path, artefact: Artefact) -> InstallStarted:
    """Verify the file again and hand it on. AppError UPDATE_CHANGED, UPDATE_NOT_STARTED, FOLDER_UNUSABLE."""
    with _held(path, artefact) as stream:
        target = appimage_file() if kind is InstallationKind.APPIMAGE else None
        if target is not None:
            _replace(target, stream, artefact)
            return InstallStarted("The new version is in place and runs from the next start on.")
        match kind:
            case InstallationKind.SETUP:
                _start([str(path)], path)
                return InstallStarted("The installer was started. Local AI closes for it.", ends_program=True)
            case InstallationKind.DMG:
                _start(["open", str(path)], path)
                return InstallStarted("The disk image is open. Quit Local AI, then drag the new one into Applications.")
            case InstallationKind.DEB:
                _start(["xdg-open", str(path)], path)
                return InstallStarted("Your system's installer was asked to open the package.")
            case _:
                _start(["xdg-open", str(path.parent)], path)
                return InstallStarted(f"The archive is {path.name} in the folder that was opened.")


@contextmanager
def _held(path: Path, artefact: Artefact) -> Iterator[BinaryIO]:
    """The file, open, with the very bytes that were signed; removed and refused if they are others."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise _Changed
        with _open_alone(path) as stream:
            if not _is_signed(stream, path, artefact):
                raise _Changed
            stream.seek(0)
            yield stream
    except (OSError, _Changed) as error:
        if not isinstance(error, _Changed) and path.exists():
            raise AppError(
                errors.UPDATE_NOT_STARTED, name=path.name, reason=(getattr(error, "strerror", "") or str(error)), path=path,
                detail=repr(error)) from error
        with contextlib.suppress(OSError):
            path.unlink()
        raise AppError(errors.UPDATE_CHANGED, name=path.name) from error


class _Changed(Exception):  # noqa: N818  never leaves this file
    """The file is not the one that was verified."""


def _is_signed(stream: BinaryIO, path: Path, artefact: Artefact) -> bool:
    facts = os.fstat(stream.fileno())
    if not stat.S_ISREG(facts.st_mode) or facts.st_size != artefact.size_bytes:
        return False
    digest = hashlib.sha256()
    while chunk := stream.read(_CHUNK_BYTES):
        digest.update(chunk)
    now = path.lstat()
    is_same = (now.st_dev, now.st_ino, now.st_size) == (facts.st_dev, facts.st_ino, facts.st_size)
    return is_same and digest.hexdigest() == artefact.sha256


def _open_alone(path: Path) -> BinaryIO:
    """Open a file so that nobody can put another one in its place: by the system's lock on Windows, by rights elsewhere."""
    if sys.platform == "win32":
        import ctypes
        import msvcrt
        from ctypes import wintypes

        create = ctypes.WinDLL("kernel32", use_last_error=True).CreateFileW
        create.restype = wintypes.HANDLE
        create.argtypes = [wintypes.LPCWSTR, wintypes.DWORD, wintypes.DWORD, wintypes.LPVOID, wintypes.DWORD, wintypes.DWORD,
                           wintypes.HANDLE]
        read, share_read, open_existing = 0x80000000, 1, 3
        handle = create(str(path), read, share_read, None, open_existing, 0, None)
        if handle == wintypes.HANDLE(-1).value:
            raise ctypes.WinError(ctypes.get_last_error())
        return os.fdopen(msvcrt.open_osfhandle(handle, os.O_RDONLY | os.O_BINARY), "rb")
    folder = path.parent
    if folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to somebody else")
    folder.chmod(0o700)
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")


def _replace(target: Path, stream: BinaryIO, artefact: Artefact) -> None:
    """Put the verified bytes in place of an AppImage, whole or not at all; they are counted again while they are copied."""
    new = target.with_name(f".{target.name}.{os.getpid()}.new")
    digest = hashlib.sha256()
    try:
        with new.open("xb") as copy:
            while chunk := stream.read(_CHUNK_BYTES):
                digest.update(chunk)
                copy.write(chunk)
            copy.flush()
            os.fsync(copy.fileno())
        if digest.hexdigest() != artefact.sha256:
            raise _Changed
        new.chmod(stat.S_IMODE(target.stat().st_mode) | stat.S_IXUSR)
        new.replace(target)
    except OSError as error:
        raise AppError(
            errors.FOLDER_UNUSABLE, name=target.name, folder=target.parent, reason=error.strerror or str(error),
            detail=repr(error)) from error
    finally:
        new.unlink(missing_ok=True)


def _start(command: Sequence[str], path: Path) -> None:
    """Start a program of the system that lives on without this one."""
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            env=system_environment(), cwd=path.parent)
    except OSError as error:
        raise AppError(
            errors.UPDATE_NOT_STARTED, name=path.name, reason=error.strerror or str(error), path=path,
            detail=repr(error)) from error
    threading.Thread(target=process.wait, name="installer", daemon=True).start()


def system_environment() -> dict[str, str]:
    """The environment for programs of the system, without what a frozen program sets for its own libraries.

    PyInstaller keeps the value of before in a variable whose name ends in _ORIG.
    """
    environment = dict(os.environ)
    if not getattr(sys, "frozen", False):
        return environment
    for name in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"):
        environment.pop(name, None)
        before = environment.pop(f"{name}_ORIG", None)
        if before:
            environment[name] = before
    for name in ("QT_PLUGIN_PATH", "QML2_IMPORT_PATH"):
        environment.pop(name, None)
    return environment
