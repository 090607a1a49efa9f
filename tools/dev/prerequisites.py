"""What has to be on the computer before anything else works, each said in one line. Runs on Python 3.8."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import List, Optional, Sequence

MINIMUM = (3, 11)
NEWEST = (3, 14)
"""The newest Python for which the pinned packages have wheels."""

QT_LIBRARIES = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libX11.so.6": "libx11-6",
    "libfontconfig.so.1": "libfontconfig1",
    "libfreetype.so.6": "libfreetype6",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libdbus-1.so.3": "libdbus-1-3",
}
"""What QtGui and QtDBus are linked to and no wheel contains: library and Debian package."""

XCB_LIBRARIES = {
    "libX11-xcb.so.1": "libx11-xcb1",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-sync.so.1": "libxcb-sync1",
    "libxcb-util.so.1": "libxcb-util1",
    "libxcb-xfixes.so.0": "libxcb-xfixes0",
    "libxcb-xkb.so.1": "libxcb-xkb1",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
}
"""What Qt's plugin for X11 (libqxcb.so) is linked to besides."""


def python_missing() -> str:
    """The line for a computer without a Python that is new enough."""
    wanted = f"{MINIMUM[0]}.{MINIMUM[1]} to {NEWEST[0]}.{NEWEST[1]}"
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    return f"Python {wanted} is needed, and this is {here}: install one from python.org or with your package manager."


def find_python() -> Optional[List[str]]:
    """The command of a fitting Python on this computer, or None. Each is tried: a name on the PATH may be a shim."""
    versions = [f"{MINIMUM[0]}.{minor}" for minor in range(NEWEST[1], MINIMUM[1] - 1, -1)]
    candidates = [["py", f"-{version}"] for version in versions] if os.name == "nt" else []
    candidates += [[f"python{version}"] for version in versions]
    candidates += [["python3"], ["python"]]
    for name, *options in candidates:
        program = shutil.which(name)
        if program and _fits([program, *options]):
            return [program, *options]
    return None


def _fits(command: Sequence[str]) -> bool:
    code = "import sys, venv, ensurepip; print(*sys.version_info[:2])"
    try:
        answer = subprocess.run([*command, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=20)
        version = tuple(int(part) for part in answer.stdout.split())
    except (OSError, ValueError, subprocess.SubprocessError):
        return False
    return answer.returncode == 0 and MINIMUM <= version <= NEWEST


def missing_for_setup() -> str:
    """One line about what the set-up needs and does not find, or an empty text."""
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
        return f"Python's venv module is missing: install it (on Debian and Ubuntu: sudo apt install {package})."
    return ""


def missing_for_window(command: str) -> str:
    """One line about the system libraries that Qt needs for a window and does not find, or an empty text."""
    if command not in ("run", "demo") or not sys.platform.startswith("linux"):
        return ""
    libraries = dict(QT_LIBRARIES)
    platform = os.environ.get("QT_QPA_PLATFORM", "")
    if platform == "xcb" or (not platform and not os.environ.get("WAYLAND_DISPLAY")):
        libraries.update(XCB_LIBRARIES)
    missing = [name for name in libraries if not _can_load(name)]
    if not missing:
        return ""
    noun = "library" if len(missing) == 1 else "libraries"
    packages = " ".join(libraries[name] for name in missing)
    return f"Qt needs the system {noun} {', '.join(missing)} (on Debian and Ubuntu: sudo apt install {packages})."


def _can_load(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def missing_compiler() -> str:
    """One line about the compiler that llama.cpp needs and that is not found, or an empty text."""
    chosen = os.environ.get("CXX", "").split()
    if chosen and shutil.which(chosen[0]):
        return ""
    if os.name == "nt":
        programs = Path(os.environ.get("PROGRAMFILES(X86)", "C:/Program Files (x86)"))
        if shutil.which("cl") or (programs / "Microsoft Visual Studio" / "Installer" / "vswhere.exe").exists():
            return ""
        return "A C++ compiler is missing: install the Visual Studio Build Tools with the C++ workload."
    if _finds_any("c++", "g++", "clang++") and _finds_any("cc", "gcc", "clang"):
        return ""
    if sys.platform == "darwin":
        return "A C++ compiler is missing: run xcode-select --install."
    return "A C++ compiler is missing: install one (on Debian and Ubuntu: sudo apt install g++)."


def _finds_any(*names: str) -> bool:
    return any(shutil.which(name) for name in names)
