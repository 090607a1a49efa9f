"""How this copy of the program came onto the computer, which its place tells, and so what it may be replaced with."""

from __future__ import annotations

import os
import platform
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from localai_app.paths import is_frozen
from localai_app.release.fields import number_parts

DEB_FOLDER = Path("/usr/lib/localai-app")
"""Where the package for Debian and its relatives puts the program, and nothing else may."""
_PROCESSORS = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}


class InstallationKind(StrEnum):
    """Packages that the program comes in."""

    SOURCE = "source"
    """No package: a checkout, or a Python environment."""
    DEB = "deb"
    TAR = "tar"
    APPIMAGE = "appimage"
    SETUP = "setup"
    DMG = "dmg"


@dataclass(frozen=True, slots=True)
class Installation:
    """The kind of package, and the platform in names of releases (`linux-x64`)."""

    kind: InstallationKind
    platform: str

    @property
    def artefact(self) -> str:
        """The file of a release that replaces this copy; "" where none does."""
        return "" if self.kind is InstallationKind.SOURCE else f"{self.platform}-{self.kind.value}"


def this_installation() -> Installation:
    """What runs here."""
    return Installation(_kind_by_place(), this_platform())


def _kind_by_place() -> InstallationKind:
    if not is_frozen():
        return InstallationKind.SOURCE
    if sys.platform != "linux":
        return InstallationKind.SETUP if sys.platform == "win32" else InstallationKind.DMG
    if appimage_file() is not None:
        return InstallationKind.APPIMAGE
    is_in_system = DEB_FOLDER in Path(sys.executable).resolve().parents
    return InstallationKind.DEB if is_in_system else InstallationKind.TAR


def this_platform() -> str:
    """The system and the processor that this build was made for."""
    system = {"win32": "windows", "darwin": "macos"}.get(sys.platform, "linux")
    # On Windows the processor's own name would be told to a program that runs in emulation, too.
    machine = sysconfig.get_platform().rpartition("-")[2] if sys.platform == "win32" else platform.machine()
    return f"{system}-{_PROCESSORS.get(machine.lower(), machine.lower() or 'unknown')}"


def appimage_file() -> Path | None:
    """The AppImage that this copy was started from, as its runtime tells (docs.appimage.org, "Environment variables").

    The variables are also there for programs that another AppImage started, so this one has to lie in what was mounted.
    """
    named, mounted = os.environ.get("APPIMAGE", ""), os.environ.get("APPDIR", "")
    if not named or not mounted or Path(mounted).resolve() not in Path(sys.executable).resolve().parents:
        return None
    return Path(named) if Path(named).is_file() else None


def is_system_old(minimum_version: str, system_version: Callable[[], str] | None = None) -> bool:
    """Whether this system is older than what a release needs; false where one of both is unknown."""
    try:
        needed, found = number_parts(minimum_version), number_parts((system_version or _system_version)())
    except ValueError:
        return False
    return bool(needed and found) and found < needed


def _system_version() -> str:
    """What `Artefact.minimum_version` is compared with: glibc, Windows or macOS; "" where it is unknown."""
    if sys.platform == "win32":
        version = sys.getwindowsversion()
        return f"{version.major}.{version.minor}.{version.build}"
    if sys.platform == "darwin":
        return platform.mac_ver()[0]
    name, version = platform.libc_ver()
    return version if name == "glibc" else ""
