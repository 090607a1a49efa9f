"""The AppImage: one file that starts by itself, dist/localai-app-<version>-linux-<processor>.AppImage.

An AppImage is a small program, the runtime, with a SquashFS image behind it. The runtime is no package of any distribution, so
whoever makes a release gives it as a file in LOCALAI_APPIMAGE_RUNTIME.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tools.dev.console import StepError
from tools.package import bundle, linux_files
from tools.package.linux_files import PROGRAM

RUNTIME = "LOCALAI_APPIMAGE_RUNTIME"
SQUASH = ("-root-owned", "-noappend", "-no-xattrs", "-no-progress", "-quiet", "-comp", "zstd", "-b", "1M")


def missing() -> str:
    """What this computer lacks for it."""
    runtime = os.environ.get(RUNTIME, "")
    if not runtime:
        return f"It begins with a program that is no package here: set {RUNTIME} to the file of AppImage's type 2 runtime."
    if not _is_program(Path(runtime)):
        return f"{RUNTIME} names no program: {runtime}"
    return linux_files.missing_for("mksquashfs squashfs-tools")


def _is_program(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def file_name() -> str:
    """What the image is called, by version and processor."""
    return f"{PROGRAM}-{linux_files.release()[0]}-linux-{linux_files.processor()}.AppImage"


def build() -> Path:
    """Make it from the application bundle and the runtime, or take the one made before from the same files."""
    folder = bundle.build()
    runtime = Path(os.environ[RUNTIME])

    def make(target: Path) -> None:
        tree = target.parent / "AppDir"
        write_tree(folder, tree)
        write_image(tree, runtime, target)

    return linux_files.kept(file_name(), folder, make, runtime)


def write_tree(folder: Path, tree: Path) -> None:
    """The AppDir: the bundle where a system would have it, and at the top what AppImage asks for."""
    shutil.copytree(folder, tree / "usr" / "lib" / PROGRAM, symlinks=True)
    linux_files.write_share(tree / "usr" / "share")
    shutil.copy(linux_files.SOURCES / "AppRun", tree / "AppRun")
    shutil.copyfile(linux_files.SOURCES / "localai-app.desktop", tree / "localai-app.desktop")
    shutil.copyfile(linux_files.ICONS / "localai-app-256.png", tree / "localai-app.png")
    (tree / ".DirIcon").symlink_to("localai-app.png")
    linux_files.settle(tree)


def write_image(tree: Path, runtime: Path, target: Path) -> None:
    """The runtime with the image of a tree behind it, as a program; the same for the same files."""
    image = target.with_suffix(".squashfs")
    _, epoch_s = linux_files.release()
    dates = ["-mkfs-time", str(epoch_s), "-all-time", str(epoch_s)]
    # It refuses dates where the variable tells it one, too.
    environment = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
    command = ["mksquashfs", str(tree), str(image), *SQUASH, *dates]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise StepError(f"mksquashfs failed: {done.stderr.strip() or done.stdout.strip()}")
    with target.open("wb") as whole:
        for part in (runtime, image):
            with part.open("rb") as file:
                shutil.copyfileobj(file, whole)
    target.chmod(0o755)
    image.unlink()
