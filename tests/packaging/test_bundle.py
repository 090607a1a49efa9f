"""The application bundle as it lies in dist/: what is in it, what it needs, and that it runs where users put it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.real_models import smollm2_path
from tools.package import glibc, notices, tar

Needs = Callable[[str | Path], Path]
ROOT = Path(__file__).resolve().parents[2]
MOST_INSTALLED_BYTES = 350_000_000
NOBODY = 65534
LIBRARIES_OF_EVERY_DESKTOP = {
    "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1", "libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1",
    "libresolv.so.2", "libstdc++.so.6", "libgcc_s.so.1", "libz.so.1", "libzstd.so.1",
    "libglib-2.0.so.0", "libgthread-2.0.so.0", "libdbus-1.so.3", "libfontconfig.so.1", "libfreetype.so.6",
    "libEGL.so.1", "libGL.so.1", "libX11.so.6", "libX11-xcb.so.1", "libxcb.so.1", "libxcb-glx.so.0", "libxcb-randr.so.0",
    "libxcb-render.so.0", "libxcb-shape.so.0", "libxcb-shm.so.0", "libxcb-sync.so.1", "libxcb-xfixes.so.0",
    "libwayland-client.so.0", "libwayland-cursor.so.0", "libwayland-egl.so.1",
    "libbrotlidec.so.1", "libbrotlicommon.so.1", "libgssapi_krb5.so.2", "libvulkan.so.1",
}
"""What the bundle leaves to the user's system; a package declares all of it."""
WORDS_OF_TERMS = (
    "GNU LESSER GENERAL PUBLIC LICENSE", "PYTHON SOFTWARE FOUNDATION LICENSE", "The ggml authors", "Mozilla Foundation",
    "Phosphor Icons", "Bootloader Exception", "download.qt.io", "NVIDIA Corporation")

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the bundle of Linux"),
    # Seconds on an idle computer; whole programs are started dozens of times.
    pytest.mark.timeout(600)]


@pytest.fixture(scope="session")
def bundle(needs: Needs) -> Path:
    return needs("localai-app")


def run(bundle: Path, *arguments: str | Path, home: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """The program of a bundle, with nothing of this checkout in its variables."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "TMPDIR") if name in os.environ}
    return subprocess.run(
        [*options.pop("before", ()), bundle / "localai-app", *map(str, arguments)], capture_output=True, text=True, timeout=500,
        check=False, stdin=subprocess.DEVNULL, env={**kept, "HOME": str(home), **options.pop("env", {})}, cwd=home)


def test_every_file_runs_on_the_oldest_system_that_it_is_for(bundle: Path) -> None:
    assert glibc.check_floor(bundle) > (2, 17)


def test_it_asks_the_system_for_nothing_unusual(bundle: Path) -> None:
    wanted = glibc.outside_libraries(bundle)
    unusual = {name: users for name, users in wanted.items() if name not in LIBRARIES_OF_EVERY_DESKTOP}
    assert unusual == {}


def test_every_file_belongs_to_a_work_whose_terms_are_told(bundle: Path) -> None:
    inside = bundle / "_internal"
    assert notices.unlisted_files(bundle, inside) == []
    assert notices.works_without_text(bundle, inside) == []
    text = (bundle / notices.TEXT_NAME).read_text(encoding="utf-8")
    for words in WORDS_OF_TERMS:
        assert words in text, words


def test_every_module_of_the_program_is_in_it(bundle: Path) -> None:
    index = json.loads((bundle / "_internal" / notices.INDEX_NAME).read_text(encoding="utf-8"))
    frozen = {name.removeprefix("module ") for work in index for name in work["contains"] if name.startswith("module ")}
    sources = {path.relative_to(ROOT / "src").with_suffix("") for path in (ROOT / "src" / "localai_app").rglob("*.py")}
    expected = {".".join(path.parts).removesuffix(".__init__") for path in sources}
    assert expected - frozen == set()
    resources = {path.relative_to(ROOT).as_posix() for path in (ROOT / "resources").rglob("*") if path.is_file()}
    packed = {path.relative_to(bundle / "_internal" / "localai_app").as_posix()
              for path in (bundle / "_internal" / "localai_app" / "resources").rglob("*") if path.is_file()}
    assert packed == resources


def test_it_is_trimmed(bundle: Path) -> None:
    files = [path for path in bundle.rglob("*") if path.is_file() and not path.is_symlink()]
    assert sum(path.stat().st_size for path in files) < MOST_INSTALLED_BYTES
    unwanted = re.compile(r"Qml|Quick|Pdf|WebEngine|translations/|/tests?/|\.pyi$|\.h$|libstdc|libgcc_s|libgtk|libexpat|hf_xet")
    assert [path for path in files if unwanted.search(path.relative_to(bundle).as_posix())] == []


def test_the_version_is_told_at_once(bundle: Path, tmp_path: Path) -> None:
    from localai_app import __version__

    done = run(bundle, "--version", home=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"localai-app {__version__}\n", "")
    assert list(tmp_path.iterdir()) == []


def test_every_command_explains_itself(bundle: Path, tmp_path: Path) -> None:
    """Each start imports what all commands need; the words of each are read in tests/integration/cli/test_help.py."""
    import typer

    from localai_app.cli.main import app

    names = list(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    assert len(names) > 20
    done = run(bundle, "--help", home=tmp_path)
    assert done.returncode == 0, done.stderr
    assert set(re.findall(r"^  (\S+)", done.stdout, re.MULTILINE)) >= set(names)
    done = run(bundle, "chat", "--help", home=tmp_path)
    assert (done.returncode, "localai-app chat" in done.stdout) == (0, True), done.stderr


def test_it_answers_with_a_real_model_and_says_what_it_is(bundle: Path, tmp_path: Path) -> None:
    answer = run(bundle, "chat", smollm2_path(), "-p", "Hello", "--max-tokens", "8", "--ctx", "512", "--json", home=tmp_path)
    assert answer.returncode == 0, answer.stderr
    document = json.loads(answer.stdout)
    assert document["text"].strip()
    about = json.loads(run(bundle, "about", "--json", "--notices", home=tmp_path).stdout)
    assert about["engine"]
    assert Path(about["notices"]) == bundle / notices.TEXT_NAME
    assert about["notices_text"] == (bundle / notices.TEXT_NAME).read_text(encoding="utf-8")
    suggestions = json.loads(run(bundle, "suggest", "--json", home=tmp_path).stdout)
    assert suggestions["total"] > 100
    assert run(bundle, "doctor", "--json", home=tmp_path).returncode == 0


@pytest.fixture
def odd_place(needs: Needs) -> Iterator[tuple[Path, Path]]:
    """The portable archive, unpacked where nobody can write, at a path that needs care; an empty home of another user."""
    with tempfile.TemporaryDirectory(prefix="localai-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        above = Path(folder) / "Café déjà vu 100%" / "Programs (x64)"
        above.mkdir(parents=True)
        subprocess.run(["tar", "--extract", "--file", str(needs(tar.file_name())), "--directory", str(above)], check=True)
        place = above / "localai-app"
        home = Path(folder) / "home"
        home.mkdir()
        for path in (place, *place.rglob("*")):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode & ~0o222)
        if os.geteuid() == 0:
            os.chown(home, NOBODY, NOBODY)
        yield place, home
        for path in (place, *(each for each in place.rglob("*") if each.is_dir())):
            path.chmod(0o755)


def test_it_works_without_a_network_for_another_user_from_an_odd_place(odd_place: tuple[Path, Path]) -> None:
    place, home = odd_place
    before = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
    if os.geteuid() == 0:
        before += ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    is_granted = subprocess.run([*before, "true"], capture_output=True, check=False).returncode == 0
    if not is_granted:
        before = []
    done = run(place, "--self-check", home=home, before=before, env={"TMPDIR": "/tmp"})
    report = json.loads(done.stdout)
    assert (report["ok"], report["problem"], done.returncode) == (True, "", 0)
    assert report["frozen"] is True
    assert report["decoded"]["tokens"] > 100
    assert report["modules_imported"] > 1000
    assert report["engine_refused"] == []
    if not is_granted:
        pytest.skip("it works there, but this system grants no network of its own, so that it had this computer's")
