"""What packaging/localai.spec takes from `build/`: the icon, and on Windows the version that the properties of a file show."""

from __future__ import annotations

import sys
from pathlib import Path

from localai_app import __version__
from tools.dev.environment import ROOT
from tools.package import macos_app
from tools.package.windows_resources import VersionInfo, icon_file, program_icons, version_strings

_ICONS = ROOT / "resources" / "icons"


def prepare(folder: Path, system: str = sys.platform) -> None:
    """Write the files for an operating system (a value of sys.platform); Linux needs none."""
    if system == "win32":
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "app.ico").write_bytes(icon_file(program_icons(_ICONS)))
        info = VersionInfo(__version__, "Local AI", "localai-app.exe")
        (folder / "version_info.txt").write_text(version_script(info), encoding="utf-8")
    elif system == "darwin":
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "app.icns").write_bytes(macos_app.icon_file(_ICONS))


def version_script(info: VersionInfo) -> str:
    """The version as PyInstaller reads it (PyInstaller.utils.win32.versioninfo)."""
    strings = ", ".join(f"StringStruct({key!r}, {value!r})" for key, value in version_strings(info).items())
    return (
        f"VSVersionInfo(ffi=FixedFileInfo(filevers={info.numbers}, prodvers={info.numbers}, mask=0x3f, flags=0, OS=0x40004,"
        " fileType=1, subtype=0, date=(0, 0)), kids=[StringFileInfo([StringTable('040904B0', ["
        f"{strings}])]), VarFileInfo([VarStruct('Translation', [0x409, 1200])])])\n")
