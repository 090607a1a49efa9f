"""The application for macOS, from what PyInstaller makes of it (packaging/localai.spec), with engine and notices."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Mapping
from pathlib import Path

from localai_app import __version__
from tools.dev.environment import ROOT

NAME = "Local AI.app"
FACTS = ROOT / "packaging" / "macos" / "info_plist.json"
ENTITLEMENTS = ROOT / "packaging" / "macos" / "entitlements.plist"
_ICONS = (
    (b"icp4", 16), (b"icp5", 32), (b"ic11", 32), (b"ic12", 64), (b"ic07", 128), (b"ic08", 256), (b"ic13", 256), (b"ic09", 512),
    (b"ic14", 512),
)
"""Apple's names for sizes of icons, some of them for screens with twice the pixels."""


def info() -> Mapping[str, object]:
    """Info.plist: the facts of packaging/macos with the version of the program."""
    facts: dict[str, object] = json.loads(FACTS.read_text(encoding="utf-8"))
    numbers = __version__.split("+")[0]
    return facts | {"CFBundleShortVersionString": numbers, "CFBundleVersion": numbers}


def icon_file(icons: Path) -> bytes:
    """An .icns of the program's icon."""
    entries = b""
    for kind, size in _ICONS:
        data = (icons / f"localai-app-{size}.png").read_bytes()
        entries += kind + struct.pack(">I", 8 + len(data)) + data
    return b"icns" + struct.pack(">I", 8 + len(entries)) + entries


def complete(app: Path, engine: Path, *texts: Path) -> None:
    """Put the engine and texts into Resources, where macOS keeps what is not the program itself."""
    resources = app / "Contents" / "Resources"
    shutil.copytree(engine, resources / "engine" / engine.name, symlinks=True)
    for text in texts:
        shutil.copyfile(text, resources / text.name)
