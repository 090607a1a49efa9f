"""The .deb: what it contains, what it asks for, how large it is, and what Debian's own checks say of it."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from localai_app import __version__
from tools.dev.environment import cache_dir
from tools.package import deb
from tools.package.debian_depends import T64_RENAMED

LARGEST_BYTES, LARGEST_INSTALLED_BYTES = 110_000_000, 350_000_000
OUR_FOLDERS = ("/usr/lib/localai-app/", "/usr/bin/", "/usr/share/")
Needs = Callable[[str | Path], Path]


@pytest.fixture(scope="module")
def package(needs: Needs) -> Path:
    return needs(deb.file_name())


@pytest.fixture(scope="module")
def listing(package: Path) -> dict[str, tuple[str, str]]:
    """Path -> mode and owner of everything in it."""
    done = subprocess.run(["dpkg-deb", "--contents", str(package)], capture_output=True, text=True, check=True)
    found = {}
    for line in done.stdout.splitlines():
        mode, owner, _size, _day, _time, path = line.split(maxsplit=5)
        found[path.removeprefix(".")] = (mode, owner)
    return found


def field(package: Path, name: str) -> str:
    done = subprocess.run(["dpkg-deb", "--field", str(package), name], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_it_is_small_enough(package: Path) -> None:
    assert package.stat().st_size < LARGEST_BYTES
    assert int(field(package, "Installed-Size")) * 1024 < LARGEST_INSTALLED_BYTES


def test_it_says_what_it_is(package: Path) -> None:
    assert field(package, "Version") == __version__
    assert field(package, "Package") == "localai-app"


def test_it_asks_for_what_qt_needs_and_nothing_twice(package: Path) -> None:
    depends = [re.sub(r" \(.*?\)", "", relation) for relation in field(package, "Depends").split(", ")]
    assert len(depends) == len(set(depends))
    needed = {"libc6", "libstdc++6", "libxcb-cursor0", "libxcb-icccm4", "libxkbcommon-x11-0", "libegl1", "ca-certificates"}
    assert needed <= set(depends)
    assert "libglib2.0-0 | libglib2.0-0t64" in depends
    for name in T64_RENAMED:
        assert name not in depends, f"{name} has another name in newer releases"
    assert "libvulkan1" not in depends
    assert "libvulkan1" in field(package, "Recommends").split(", ")


def test_everything_belongs_to_root_and_lies_in_usr(listing: dict[str, tuple[str, str]]) -> None:
    for path, (mode, owner) in listing.items():
        assert owner == "root/root", path
        assert path in ("/", "/usr/", "/usr/lib/") or path.startswith(OUR_FOLDERS), path
        assert mode[0] in "-dl", path
        assert "s" not in mode, path
        assert mode[0] == "l" or mode[5] == mode[8] == "-", f"others may write {path}"
    assert "/usr/bin/localai-app -> ../lib/localai-app/localai-app" in listing
    assert not [path for path in listing if re.search(r"libxcb-|libxkbcommon", path)]


def test_no_script_runs_at_installation(package: Path) -> None:
    """Menus, icons and file types are kept up to date by the triggers of other packages."""
    done = subprocess.run(["dpkg-deb", "--ctrl-tarfile", str(package)], capture_output=True, check=True)
    names = subprocess.run(["tar", "--list"], input=done.stdout, capture_output=True, check=True).stdout.decode().split()
    assert sorted(names) == ["./", "./control", "./md5sums"]


@pytest.mark.timeout(900)
def test_lintian_finds_nothing_but_the_named_exceptions(package: Path) -> None:
    if shutil.which("lintian") is None:
        pytest.skip("lintian is not installed")
    # It reads every file for a minute or more; the same package is not read twice.
    version = subprocess.run(["lintian", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    with package.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    digest.update(version.encode())
    kept = cache_dir() / "lintian" / digest.hexdigest()[:24]
    if not kept.exists():
        done = subprocess.run(
            ["lintian", "--tag-display-limit", "0", "--allow-root", str(package)], capture_output=True, text=True, check=False)
        assert done.returncode in (0, 2), done.stderr
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(done.stdout, encoding="utf-8")
    found = [line for line in kept.read_text(encoding="utf-8").splitlines() if line.startswith(("E:", "W:"))]
    assert found == []


def test_the_same_bundle_gives_the_same_package(needs: Needs, tmp_path: Path) -> None:
    bundle = needs("localai-app")
    sums = []
    for name in ("one", "two"):
        deb.write_tree(bundle, tmp_path / name)
        deb.pack(tmp_path / name, tmp_path / f"{name}.deb", compression=("-Znone",))
        shutil.rmtree(tmp_path / name)
        with (tmp_path / f"{name}.deb").open("rb") as file:
            sums.append(hashlib.file_digest(file, "sha256").hexdigest())
    assert sums[0] == sums[1]
