"""What is published, told by its file name: for which system, which processor, and in which form."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tools.dev.console import StepError

SYSTEMS = {
    ".deb": ("linux", "deb"), ".tar.xz": ("linux", "tar"), ".AppImage": ("linux", "appimage"),
    "-setup.exe": ("windows", "setup"), ".dmg": ("macos", "dmg"),
}
PROCESSORS = {"x64": "x64", "amd64": "x64", "x86_64": "x64", "arm64": "arm64", "aarch64": "arm64"}
_PROCESSOR = re.compile(rf"(?<![A-Za-z0-9])({'|'.join(PROCESSORS)})(?![A-Za-z0-9])")
_NAME = re.compile(r"localai-app[-_](?P<version>[0-9][0-9a-z.]*)[-_](?P<rest>.+)", re.IGNORECASE)
PREFIX = "localai-app"
"""What the names of all artefacts begin with; archives of packs are called otherwise."""
FLOORS = {
    "linux-x64": ("2.35", "Ubuntu 22.04 or Debian 12"),
    "linux-arm64": ("2.39", "Ubuntu 24.04 or Debian 13"),
    "windows-x64": ("10.0.17763", "Windows 10, version 1809"),
    "windows-arm64": ("10.0.22000", "Windows 11"),
    "macos-arm64": ("14.0", "macOS 14"),
}
"""The oldest glibc, Windows or macOS that each artefact runs on, as number and in words (docs/releasing.md)."""


@dataclass(frozen=True)
class Published:
    """One file to publish."""

    path: Path
    version: str
    platform: str
    """As release.json names it: `linux-x64-deb`."""

    @property
    def floor(self) -> tuple[str, str]:
        """The oldest system it runs on, as number and in words."""
        return FLOORS[self.platform.rpartition("-")[0]]


def published(path: Path) -> Published | None:
    """What a file is; None if it is nothing that is published. StepError for a name that does not say enough."""
    ending = next((ending for ending in SYSTEMS if path.name.endswith(ending)), None)
    if ending is None or not path.name.lower().startswith(PREFIX) or not path.is_file():
        return None
    system, form = SYSTEMS[ending]
    name = _NAME.match(path.name)
    processor = _PROCESSOR.search(path.name)
    if name is None or processor is None:
        raise StepError(f"{path.name} does not name its version and processor, as localai-app-1.0.0-linux-x64.tar.xz does.")
    platform = f"{system}-{PROCESSORS[processor[1]]}"
    if platform not in FLOORS:
        raise StepError(f"{path.name} is for {platform}, for which nothing is published.")
    return Published(path, name["version"], f"{platform}-{form}")


def all_published(folder: Path) -> list[Published]:
    """Everything to publish in a folder; StepError where two files are for one platform, or versions differ."""
    found = [one for path in sorted(folder.iterdir()) if (one := published(path)) is not None] if folder.is_dir() else []
    for one in found:
        for other in found:
            if one is not other and one.platform == other.platform:
                raise StepError(f"{one.path.name} and {other.path.name} are both for {one.platform}: remove the older one.")
            if one.version != other.version:
                raise StepError(f"{one.path.name} and {other.path.name} are of different versions.")
    return found
