"""Packages for Linux are made by the tools of Ubuntu 22.04, on which releases are built, whatever is set around them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tools.package import appimage, deb

DPKG_OF_UBUNTU_22_04 = """#!/bin/sh
for word; do case "$word" in --threads-max*) echo "unknown option $word" >&2; exit 2;; esac; done
echo "$DPKG_DEB_THREADS_MAX" > "$(dirname "$0")/threads"
exec {program} "$@"
"""
CONTROL = "Package: a\nVersion: 1\nArchitecture: all\nMaintainer: A <a@example.invalid>\nDescription: a\n"


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="makes a package for Debian")
def test_a_deb_is_made_by_an_older_dpkg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    older = tmp_path / "bin" / "dpkg-deb"
    older.parent.mkdir()
    older.write_text(DPKG_OF_UBUNTU_22_04.format(program=shutil.which("dpkg-deb")))
    older.chmod(0o755)
    monkeypatch.setenv("PATH", str(older.parent), prepend=":")
    control = tmp_path / "tree" / "DEBIAN" / "control"
    control.parent.mkdir(parents=True)
    control.write_text(CONTROL)
    deb.pack(tmp_path / "tree", tmp_path / "a.deb")
    assert (tmp_path / "a.deb").read_bytes().startswith(b"!<arch>")
    assert (older.parent / "threads").read_text() == "2\n"


@pytest.mark.skipif(shutil.which("mksquashfs") is None, reason="makes a SquashFS image")
def test_an_appimage_is_made_where_a_date_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "runtime").write_bytes(b"\x7fELF")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    appimage.write_image(tmp_path / "tree", tmp_path / "runtime", tmp_path / "a.AppImage")
    assert (tmp_path / "a.AppImage").read_bytes()[4:8] == b"hsqs"
