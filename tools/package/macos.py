"""The disk image for macOS: the application, signed from the inside out, beside a link to the folder Applications.

Without LOCALAI_SIGN_IDENTITY it is signed ad hoc, which Apple's processors ask of every program, and Gatekeeper refuses it at
first. packaging/ci/notarize.sh has Apple look at the finished image.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from localai_app import __version__
from tools.dev.console import StepError
from tools.dev.environment import ROOT
from tools.package import bundle, engine_checksums, mach_o, macos_app
from tools.package.artefacts import FLOORS

IDENTITY_VARIABLE = "LOCALAI_SIGN_IDENTITY"
PAUSE_S = 10.0
_TRIES = 6
_AD_HOC = "-"


def missing() -> str:
    """What this computer lacks for the image; empty where it can be made."""
    if platform.system() != "Darwin":
        return "A disk image is made on macOS."
    absent = [name for name in ("codesign", "hdiutil") if shutil.which(name) is None]
    return f"It needs {' and '.join(absent)} of macOS." if absent else bundle.missing()


def build() -> Path:
    """`dist/localai-app-VERSION-macos-PROCESSOR.dmg`; StepError in words."""
    bundle.build()
    processor = "arm64" if platform.machine() == "arm64" else "x64"
    return make_image(ROOT / "dist" / macos_app.NAME, ROOT / "dist" / f"localai-app-{__version__}-macos-{processor}.dmg")


def make_image(app: Path, image: Path) -> Path:
    """Sign a copy of the application and put it into an image, which is signed too."""
    mach_o.check_floor(code_inside(app), FLOORS["macos-arm64"][0])
    identity = os.environ.get(IDENTITY_VARIABLE, "") or _AD_HOC
    if identity == _AD_HOC:
        print(f"{image.name} is signed for no developer: {IDENTITY_VARIABLE} is not set.", flush=True)
    with tempfile.TemporaryDirectory() as name:
        content = Path(name) / "content"
        content.mkdir()
        copy = content / app.name
        shutil.copytree(app, copy, symlinks=True)
        sign(copy, identity)
        (content / "Applications").symlink_to("/Applications")
        made = Path(name) / image.name
        _create_image(content, made)
        if identity != _AD_HOC:
            _run("codesign", "--sign", identity, "--timestamp", str(made))
        image.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(made, image)
    return image


def _create_image(content: Path, image: Path) -> None:
    """Ask for it several times: while macOS looks at what was just written, it calls the image busy."""
    for attempt in range(_TRIES):
        try:
            _run("hdiutil", "create", "-ov", "-volname", "Local AI", "-srcfolder", str(content), "-format", "ULFO",
                 "-fs", "APFS", str(image))
            return
        except StepError as failure:
            if "busy" not in str(failure).lower() or attempt == _TRIES - 1:
                raise
            time.sleep(PAUSE_S)


def sign(app: Path, identity: str) -> None:
    """Every library and program inside first, the application last, because its signature seals theirs."""
    main_program = app / "Contents" / "MacOS" / str(macos_app.info()["CFBundleExecutable"])
    for path in code_inside(app):
        if path != main_program:
            _codesign(identity, path)
    # Signing changed the engine's libraries, and the program refuses what differs from engine.json.
    for manifest in sorted(app.glob("Contents/Resources/engine/*/engine.json")):
        engine_checksums.renew(manifest)
    _codesign(identity, app, "--entitlements", str(macos_app.ENTITLEMENTS))
    _run("codesign", "--verify", "--deep", "--strict", str(app))


def code_inside(app: Path) -> list[Path]:
    """All programs and libraries, the innermost folders first; links are not followed."""
    found = []
    for path in app.rglob("*"):
        if path.is_symlink() or not path.is_file():
            continue
        with path.open("rb") as file:
            if file.read(4) in mach_o.HEADS:
                found.append(path)
    return sorted(found, key=lambda path: (-len(path.parts), str(path)))


def _codesign(identity: str, path: Path, *options: str) -> None:
    # Apple's clock stands for a certificate that has ended since; ad hoc there is none. The hardened runtime loads only
    # libraries of the program's own developer, and ad hoc there is no developer: not even its own Python would be loaded.
    strict = () if identity == _AD_HOC else ("--options", "runtime", "--timestamp")
    _run("codesign", "--force", "--sign", identity, *strict, *options, str(path))


def _run(*command: str) -> None:
    _check(subprocess.run(command, capture_output=True, text=True, check=False), command)


def _check(done: subprocess.CompletedProcess[str], command: Sequence[str]) -> None:
    if done.returncode:
        raise StepError(f"{command[0]} failed for {Path(command[-1]).name}: {(done.stderr or done.stdout).strip()[-300:]}")
