"""What the .deb asks for exists in the release of Debian after the one that it is made on, under names that changed."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from tests.packaging import clean_root
from tools.dev.environment import cache_dir
from tools.package import deb

NEWER = {"bookworm": "trixie"}


def apt(state: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """apt with lists of its own, for a computer on which nothing is installed."""
    options = {
        "Dir::State": state / "state", "Dir::State::status": state / "status", "Dir::Cache": state / "cache",
        # Containers are set up to keep no index, which takes seconds to make anew at each call.
        "Dir::Cache::pkgcache": "pkgcache.bin", "Dir::Cache::srcpkgcache": "srcpkgcache.bin",
        "Dir::Etc::sourcelist": state / "sources.list", "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null", "Acquire::Languages": "none", "APT::Sandbox::User": "root"}
    named = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    return subprocess.run(["apt-get", "-q", *named, *words], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def newer() -> Path:
    if problem := clean_root.problem():
        pytest.skip(problem)
    source = clean_root.apt_source()
    assert source is not None
    if source.suite not in NEWER:
        pytest.skip(f"no release after {source.suite} is known here")
    state = cache_dir() / "clean-roots" / f"lists-{NEWER[source.suite]}"
    (state / "state" / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    (state / "cache" / "archives" / "partial").mkdir(parents=True, exist_ok=True)
    with FileLock(state / "lock"):
        if not (state / "complete").exists():
            (state / "status").touch()
            keys = "/usr/share/keyrings/debian-archive-keyring.gpg"
            (state / "sources.list").write_text(f"deb [signed-by={keys}] {source.mirror} {NEWER[source.suite]} main\n")
            done = apt(state, "update", "-o", "APT::Update::Error-Mode=any")
            assert done.returncode == 0, done.stderr
            (state / "complete").touch()
    return state


@pytest.mark.parametrize("name", ["Depends", "Recommends", "Suggests"])
def test_all_that_is_named_can_be_installed(needs: Callable[[str | Path], Path], newer: Path, name: str) -> None:
    asked = ["dpkg-deb", "--field", str(needs(deb.file_name())), name]
    relations = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    done = apt(newer, "--simulate", "--no-install-recommends", "satisfy", relations)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    if name == "Depends":
        assert "Conf libglib2.0-0t64" in done.stdout


def test_a_name_that_is_not_there_is_found(newer: Path) -> None:
    assert apt(newer, "--simulate", "satisfy", "libnobody-has-this1").returncode != 0
