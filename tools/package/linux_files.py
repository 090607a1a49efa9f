"""What a Linux desktop needs to know of the program: menu entry, icons, file types, AppStream, man page.

Every file is written with the mode and the date that it has in the package, so that the same sources give the same bytes.
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from tools.dev.environment import ROOT, cache_dir
from tools.package import bundle, inputs

PROGRAM = "localai-app"
SOURCES = ROOT / "packaging" / "linux"
ICONS = ROOT / "resources" / "icons"
DIST = ROOT / "dist"
HICOLOR_SIZES = (16, 32, 48, 64, 128, 256, 512)
"""The sizes that the icon theme hicolor has a folder for, of those that are drawn."""
MAINTAINER = "The Local AI developers <developers@localai-app.invalid>"
"""Overridden by LOCALAI_MAINTAINER, because only who publishes a package has an address to be reached at."""
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}

_RELEASE = re.compile(r'<release version="(?P<version>[^"]+)" date="(?P<date>\d{4}-\d\d-\d\d)"')


def release() -> tuple[str, int]:
    """The newest release that AppStream tells of: its version, and its day in seconds since 1970, which all files get.

    SOURCE_DATE_EPOCH overrides the day.
    """
    found = _RELEASE.search((SOURCES / "localai-app.metainfo.xml").read_text(encoding="utf-8"))
    assert found is not None
    day = datetime.strptime(found["date"], "%Y-%m-%d").replace(tzinfo=UTC)
    return found["version"], int(os.environ.get("SOURCE_DATE_EPOCH") or day.timestamp())


def machine() -> str:
    """The architecture as Debian calls it; the kernel's own name where it has none there."""
    name = os.uname().machine
    return ARCHITECTURES.get(name, name)


def processor() -> str:
    """The processor as file names of releases call it."""
    return {"amd64": "x64"}.get(machine(), machine())


def missing_for(*programs: str) -> str:
    """What this computer lacks to make a Linux package with these programs (name of the program, or `name package`)."""
    if not sys.platform.startswith("linux"):
        return "It is made on Linux."
    for program in programs:
        name, _, package = program.partition(" ")
        if shutil.which(name) is None:
            return f"{name} is not there: install the package {package or name}."
    return bundle.missing()


def write_share(share: Path) -> None:
    """Fill `share`, the folder that is /usr/share when installed, with everything but what is Debian's own."""
    _copy(SOURCES / "localai-app.desktop", share / "applications" / "localai-app.desktop")
    _copy(SOURCES / "localai-app.metainfo.xml", share / "metainfo" / "localai-app.metainfo.xml")
    _copy(SOURCES / "localai-app-mime.xml", share / "mime" / "packages" / "localai-app.xml")
    write_icons(share / "icons")
    _write_gz((SOURCES / "localai-app.1").read_bytes(), share / "man" / "man1" / "localai-app.1.gz")


def write_icons(icons: Path) -> None:
    """The icon in each size of the theme hicolor, and as a drawing."""
    for size in HICOLOR_SIZES:
        _copy(ICONS / f"localai-app-{size}.png", icons / "hicolor" / f"{size}x{size}" / "apps" / "localai-app.png")
    _copy(ICONS / "localai-app.svg", icons / "hicolor" / "scalable" / "apps" / "localai-app.svg")


def write_debian_docs(share: Path) -> None:
    """What Debian's policy asks of every package: copyright and changelog; and the named exceptions from its checks."""
    version, epoch_s = release()
    docs = share / "doc" / PROGRAM
    license_text = (ROOT / "LICENSE").read_text(encoding="utf-8").partition("\n\n")[2].partition("\n\n")[2]
    body = "".join(f" {line or '.'}\n" for line in license_text.strip().splitlines())
    _write((SOURCES / "copyright").read_text(encoding="utf-8") + body, docs / "copyright")
    when = datetime.fromtimestamp(epoch_s, UTC).strftime("%a, %d %b %Y %H:%M:%S +0000")
    changes = f"{PROGRAM} ({version}) stable; urgency=medium\n\n  * Release {version}.\n\n -- {maintainer()}  {when}\n"
    _write_gz(changes.encode(), docs / "changelog.gz")
    _copy(SOURCES / "lintian-overrides", share / "lintian" / "overrides" / PROGRAM)


def maintainer() -> str:
    """Who answers for a package: LOCALAI_MAINTAINER (`Name <address>`), else an address that reaches nobody."""
    return os.environ.get("LOCALAI_MAINTAINER") or MAINTAINER


def settle(folder: Path) -> None:
    """Give all below `folder` the modes of a package and the day of the release."""
    _, epoch_s = release()
    for path in sorted(folder.rglob("*"), reverse=True):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or _is_program(path) else 0o644)
        os.utime(path, (epoch_s, epoch_s), follow_symlinks=False)
    folder.chmod(0o755)
    os.utime(folder, (epoch_s, epoch_s))


def key_of(folder: Path, *more: Path) -> str:
    """A name for everything that decides what a package made of the bundle in `folder`, and of more files, contains."""
    version, epoch_s = release()
    sources = [folder, SOURCES, ICONS, ROOT / "LICENSE", *_code(), *more]
    digest = inputs.key_of(sources, machine(), str(epoch_s), maintainer())
    return f"{version}-{machine()}-{digest[:16]}"


def kept(name: str, folder: Path, make: Callable[[Path], None], *more: Path) -> Path:
    """`dist/<name>`, made by `make(path)` unless it was made before from the same bundle, sources and further files."""
    store = cache_dir() / "packages" / f"{name}-{key_of(folder, *more)}"
    with inputs.locked(store.with_name(f"{store.name}.lock")):
        if not (store / name).exists():
            store.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix="making-", dir=store) as scratch:
                make(Path(scratch) / name)
                (Path(scratch) / name).replace(store / name)
    DIST.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="copy-", dir=DIST) as scratch:
        shutil.copyfile(store / name, Path(scratch) / name)
        shutil.copymode(store / name, Path(scratch) / name)
        (Path(scratch) / name).replace(DIST / name)
    return DIST / name


def _code() -> list[Path]:
    names = ("linux_files.py", "debian_depends.py", "glibc.py", "deb.py", "tar.py", "appimage.py")
    return [path for name in names if (path := Path(__file__).parent / name).exists()]


def _is_program(path: Path) -> bool:
    """Libraries need no execute bit; what had one and is a program or a script does."""
    return bool(path.stat().st_mode & 0o100) and ".so" not in path.name


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _write(text: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")


def _write_gz(content: bytes, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(gzip.compress(content, 9, mtime=0))
