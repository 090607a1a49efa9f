"""What `dev.py package` can make, as data; each target is a module here with `missing()` and `build()`."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast


@dataclass(frozen=True)
class Target:
    """One thing to make. `module` has

    `missing() -> str`: what this computer lacks for it, one sentence; "" where it can be made;
    `build() -> Path`: makes it, with all that it needs, and returns its file or folder; StepError in words.
    """

    name: str
    title: str
    module: str
    is_default: bool = True
    """Whether it is made when no target is named."""

    def missing(self) -> str:
        """What this computer lacks for it; empty where it can be made."""
        return cast("Callable[[], str]", importlib.import_module(self.module).missing)()

    def build(self) -> Path:
        """Make it, or find it made before from the same sources."""
        return cast("Callable[[], Path]", importlib.import_module(self.module).build)()


TARGETS: tuple[Target, ...] = (
    Target("engine", "Engine: llama.cpp for every processor and GPU", "tools.package.engine"),
    Target("bundle", "Application bundle", "tools.package.bundle"),
    Target("deb", "Package for Debian and Ubuntu", "tools.package.deb"),
    Target("tar", "Portable archive for Linux", "tools.package.tar"),
    Target("appimage", "AppImage", "tools.package.appimage"),
    Target("windows", "Installer for Windows", "tools.package.windows"),
    Target("macos", "Disk image for macOS", "tools.package.macos"),
    Target("smoke", "Self-check inside each artefact", "tools.package.smoke"),
    Target("cuda-pack", "Runtime pack for NVIDIA GPUs", "tools.package.cuda_release", is_default=False),
    Target("release", "Checksums and signed release.json", "tools.package.release", is_default=False),
)
