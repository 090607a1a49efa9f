"""The two programs that start Local AI on Windows from an unfrozen tree: with a window, and with a console.

They are compiled from packaging/windows/starter.c by Zig, which carries Windows' headers and import libraries.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from localai_app import __version__
from tools.dev.console import StepError
from tools.dev.environment import ROOT, cache_dir, clean_environment
from tools.package.windows_python import LIBRARY
from tools.package.windows_resources import VersionInfo, program_icons, resource_file

SOURCES = ROOT / "packaging" / "windows"
CONSOLE, WINDOWED = "localai-app.exe", "LocalAI.exe"
"""As the bundle names them (packaging/localai.spec)."""
_FLAGS = (
    "-target", "x86_64-windows-gnu", "-Os", "-s", "-nostdlib", "-fno-builtin", "-fno-stack-protector", "-fno-sanitize=all",
    "-Wall", "-Wextra", "-Werror", f'-DPYTHON_DLL=L"{LIBRARY}"', "-Wl,--entry=start",
)
_LIBRARIES = ("-lkernel32", "-lshell32", "-luser32")


def compile_starters(zig: Path, target: Path, scratch: Path) -> None:
    """`localai-app.exe` and `LocalAI.exe` in `target`, with icon, manifest and version."""
    pngs = program_icons(ROOT / "resources" / "icons")
    manifest = (SOURCES / "app.manifest").read_bytes()
    for name, description, options in (
        (CONSOLE, "Local AI (command line)", ("-Wl,--subsystem=console",)),
        (WINDOWED, "Local AI", ("-Wl,--subsystem=windows", "-DWINDOWED")),
    ):
        resources = scratch / f"{name}.res"
        resources.write_bytes(resource_file(pngs, manifest, VersionInfo(__version__, description, name)))
        headers = zig.parent / "lib" / "libc" / "include" / "any-windows-any"
        command = [
            str(zig), "cc", "-isystem", str(headers), *_FLAGS, *options, "-o", str(target / name), str(SOURCES / "starter.c"),
            str(resources), *_LIBRARIES]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=_environment())
        if done.returncode:
            raise StepError(f"{name} cannot be compiled: {done.stderr.strip()[-300:]}")


def _environment() -> dict[str, str]:
    cache = os.fspath(cache_dir() / "zig")
    return clean_environment() | {"ZIG_GLOBAL_CACHE_DIR": cache, "ZIG_LOCAL_CACHE_DIR": cache}
