"""What desktops are told of the program, checked by the desktops' own programs."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from localai_app import __version__
from tools.package import debian_depends, linux_files
from tools.package.glibc import ElfFacts

LINUX = linux_files.SOURCES


def checked_by(*command: str | Path) -> str:
    program = str(command[0])
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def share(tmp_path: Path) -> Path:
    linux_files.write_share(tmp_path / "share")
    return tmp_path / "share"


def test_the_menu_entry_is_valid(share: Path) -> None:
    assert not checked_by("desktop-file-validate", share / "applications" / "localai-app.desktop")


def test_appstream_is_valid_and_tells_of_this_version(share: Path) -> None:
    checked_by("appstreamcli", "validate", "--no-net", share / "metainfo" / "localai-app.metainfo.xml")
    assert linux_files.release()[0] == __version__


def test_models_are_known_by_name_and_by_their_first_bytes(share: Path, tmp_path: Path) -> None:
    checked_by("update-mime-database", share / "mime")
    assert "application/x-gguf:*.gguf" in (share / "mime" / "globs2").read_text()
    assert b"application/x-gguf]\n>0=\x00\x04GGUF" in (share / "mime" / "magic").read_bytes()
    handled = re.search(r"^MimeType=(.*);$", (LINUX / "localai-app.desktop").read_text(), re.MULTILINE)
    assert handled is not None
    provided = [node.text for node in ElementTree.parse(LINUX / "localai-app.metainfo.xml").iter("mediatype")]
    assert sorted(handled[1].split(";")) == sorted(map(str, provided)) == ["application/x-gguf", "x-scheme-handler/hf"]


def test_every_icon_has_the_size_of_its_folder(share: Path) -> None:
    icons = sorted((share / "icons").rglob("*.png"))
    assert len(icons) == len(linux_files.HICOLOR_SIZES)
    for icon in icons:
        width, height = struct.unpack(">II", icon.read_bytes()[16:24])
        assert icon.parent.parent.name == f"{width}x{height}"
    assert ElementTree.parse(share / "icons/hicolor/scalable/apps/localai-app.svg").getroot().tag.endswith("svg")


def test_the_man_page_is_well_formed(share: Path) -> None:
    if shutil.which("man") is None:
        pytest.skip("man is not installed")
    page = share / "man" / "man1" / "localai-app.1.gz"
    done = subprocess.run(["man", "--warnings", "--local-file", str(page)], capture_output=True, text=True, check=True)
    assert not done.stderr
    assert "--self-check" in done.stdout


def test_the_same_sources_give_the_same_files(share: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    linux_files.write_share(again)
    linux_files.write_debian_docs(again)
    linux_files.write_debian_docs(share)
    for path in again.rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (share / path.relative_to(again)).read_bytes(), path


def facts(name: str, *needed: str, glibc: tuple[int, ...] = (), libstdcxx: tuple[int, ...] = ()) -> ElfFacts:
    return ElfFacts(Path(name), needed, glibc, libstdcxx)


def test_dependencies_are_the_packages_of_what_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    owners = {
        "libc.so.6": "libc6", "libglib-2.0.so.0": "libglib2.0-0", "libxcb-cursor.so.0": "libxcb-cursor0",
        "libstdc++.so.6": "libstdc++6"}
    monkeypatch.setattr(debian_depends, "packages_of", lambda names: {name: owners[name] for name in names if name in owners})
    files = [
        facts("localai-app", "libc.so.6", glibc=(2, 14)),
        facts("libown.so.1", "libstdc++.so.6", "libc.so.6", libstdcxx=(3, 4, 29)),
        facts("plugin.so", "libown.so.1", "libglib-2.0.so.0", "libxcb-cursor.so.0", glibc=(2, 35)),
        facts("gpu.so", "libvulkan.so.1")]
    relations = debian_depends.depends_of(files, frozenset({"libvulkan.so.1"}))
    assert relations[:4] == ["libc6 (>= 2.35)", "libglib2.0-0 | libglib2.0-0t64", "libstdc++6 (>= 11)", "libxcb-cursor0"]
    with pytest.raises(Exception, match=r"libvulkan\.so\.1, which gpu\.so needs"):
        debian_depends.depends_of(files)


def test_dpkg_names_the_package_of_a_library_in_the_systems_folders() -> None:
    if shutil.which("dpkg-query") is None:
        pytest.skip("this system has no dpkg")
    assert debian_depends.packages_of(["libc.so.6", "libnobody-has-this.so.1"]) == {"libc.so.6": "libc6"}
