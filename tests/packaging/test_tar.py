"""The portable archive and the folder of the AppImage: what they hold, and the menu entry that can be had and taken back.

How the archive runs where it was unpacked is in test_bundle.py and test_smoke.py.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.real_models import smollm2_path
from tools.package import appimage, tar
from tools.package.smoke_report import checksum

Needs = Callable[[str | Path], Path]


@pytest.fixture(scope="module")
def unpacked(needs: Needs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("a folder with 100% ä")
    subprocess.run(["tar", "--extract", "--file", str(needs(tar.file_name())), "--directory", str(folder)], check=True)
    return folder / "localai-app"


def told_by(*command: str | Path) -> dict[str, object]:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, timeout=170)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    document: dict[str, object] = json.loads(done.stdout)
    return document


def test_it_brings_what_desktops_come_without(unpacked: Path) -> None:
    names = {path.name for path in (unpacked / "_internal").iterdir()}
    assert {"libxcb-cursor.so.0", "libxcb-icccm.so.4", "libxkbcommon-x11.so.0"} <= names


def test_the_menu_entry_starts_this_folder_and_can_be_taken_back(unpacked: Path, tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "data")}
    script = unpacked / "register.sh"
    subprocess.run(["sh", str(script)], check=True, env=environment, capture_output=True)
    entry = tmp_path / "data" / "applications" / "localai-app.desktop"
    written = re.search(r'^Exec="(.*)" %u$', entry.read_text(encoding="utf-8"), re.MULTILINE)
    assert written is not None
    assert written[1].replace("%%", "%") == str(unpacked / "localai-app")
    if shutil.which("desktop-file-validate") is not None:
        checked = subprocess.run(["desktop-file-validate", str(entry)], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stdout
    assert (tmp_path / "data" / "icons" / "hicolor" / "48x48" / "apps" / "localai-app.png").is_file()
    subprocess.run(["sh", str(script), "--remove"], check=True, env=environment, capture_output=True)
    left = [path for path in tmp_path.rglob("*localai*") if path.is_file()]
    assert left == []


@pytest.mark.parametrize("script", ["register.sh", "AppRun"])
def test_scripts_are_sound(script: str) -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    done = subprocess.run(["shellcheck", str(tar.linux_files.SOURCES / script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_same_bundle_gives_the_same_archive(needs: Needs, tmp_path: Path) -> None:
    sums = []
    for name in ("one", "two"):
        tree = tmp_path / name / "localai-app"
        tar.write_tree(needs("localai-app"), tree)
        tar.write_tar(tree, tmp_path / f"{name}.tar")
        shutil.rmtree(tmp_path / name)
        with (tmp_path / f"{name}.tar").open("rb") as file:
            sums.append(hashlib.file_digest(file, "sha256").hexdigest())
        (tmp_path / f"{name}.tar").unlink()
    assert sums[0] == sums[1]


@pytest.mark.timeout(240)
def test_the_folder_of_the_appimage_runs_and_has_what_it_must(needs: Needs, tmp_path: Path) -> None:
    tree = tmp_path / "AppDir"
    appimage.write_tree(needs("localai-app"), tree)
    assert {"AppRun", "localai-app.desktop", "localai-app.png", ".DirIcon"} <= {path.name for path in tree.iterdir()}
    assert (tree / ".DirIcon").resolve() == tree / "localai-app.png"
    # The self-check of these very files is asked for in test_smoke.py; here they start a worker and draw the window.
    assert checksum(tree / "usr" / "lib" / "localai-app") == checksum(needs("localai-app"))
    answer = told_by(tree / "AppRun", "chat", smollm2_path(), "-p", "Hello", "--max-tokens", "4", "--ctx", "512", "--json")
    assert str(answer["text"]).strip()
    assert told_by(tree / "AppRun", "--self-check", "frame", "--data-dir", tmp_path / "data") == {"frame": "works"}


def test_an_appimage_is_the_runtime_with_the_image_behind_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("mksquashfs") is None:
        pytest.skip("mksquashfs is not installed")
    runtime = Path("/bin/true")
    monkeypatch.delenv(appimage.RUNTIME, raising=False)
    assert appimage.RUNTIME in appimage.missing()
    monkeypatch.setenv(appimage.RUNTIME, __file__)
    assert "names no program" in appimage.missing()
    (tmp_path / "AppDir").mkdir()
    (tmp_path / "AppDir" / "AppRun").write_text("#!/bin/sh\n")
    for name in ("one.AppImage", "two.AppImage"):
        appimage.write_image(tmp_path / "AppDir", runtime, tmp_path / name)
    whole = (tmp_path / "one.AppImage").read_bytes()
    assert whole == (tmp_path / "two.AppImage").read_bytes()
    assert whole.startswith(runtime.read_bytes())
    assert whole[runtime.stat().st_size:].startswith(b"hsqs")
    assert os.access(tmp_path / "one.AppImage", os.X_OK)
