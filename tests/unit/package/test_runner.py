"""Steps of the release jobs: what is fetched is what was chosen, and later steps learn what they need."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from localai_app import __version__
from tools.dev.console import StepError
from tools.package import downloads, runner
from tools.package.artefacts import FLOORS
from tools.package.engine_plan import PLANS, this_platform

ROOT = Path(__file__).resolve().parents[3]
CONTENT = b"a program" * 1000


@pytest.fixture
def address() -> Iterator[str]:
    """Of a server on this computer that has one file."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/file.bin" else 404)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT)

        def log_message(self, *_arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOCALAI_BUILD_CACHE", str(tmp_path / "cache"))
    for name in ("GITHUB_ENV", "GITHUB_PATH", "GITHUB_OUTPUT"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache"


def test_what_is_fetched_is_kept(address: str) -> None:
    download = downloads.Download("1", f"{address}/file.bin", hashlib.sha256(CONTENT).hexdigest())
    path = downloads.fetch(download)
    assert path.read_bytes() == CONTENT
    written = path.stat().st_mtime_ns
    assert downloads.fetch(download) == path
    assert path.stat().st_mtime_ns == written


def test_another_file_than_the_chosen_one_is_refused_and_not_kept(address: str, cache: Path) -> None:
    with pytest.raises(StepError, match="not the file that was chosen"):
        downloads.fetch(downloads.Download("1", f"{address}/file.bin", "0" * 64))
    assert [path for path in cache.rglob("*") if path.is_file()] == []


def test_a_kept_file_that_was_changed_is_fetched_again(address: str) -> None:
    download = downloads.Download("1", f"{address}/file.bin", hashlib.sha256(CONTENT).hexdigest())
    downloads.fetch(download).write_bytes(b"damaged")
    assert downloads.fetch(download).read_bytes() == CONTENT


@pytest.mark.parametrize("place", ["/nothing", ""])
def test_what_cannot_be_fetched_is_said(address: str, place: str) -> None:
    url = f"{address}{place}" if place else "http://127.0.0.1:1/file.bin"
    with pytest.raises(StepError, match="cannot be fetched"):
        downloads.fetch(downloads.Download("1", url, "0" * 64))


def test_the_list_names_files_by_checksum_for_platforms_that_exist() -> None:
    for name, platforms in json.loads(downloads.LIST.read_text(encoding="utf-8")).items():
        for platform in platforms:
            assert platform in FLOORS
            download = downloads.download_for(name, platform)
            assert download.url.startswith("https://")
            assert download.version in download.url
            assert len(bytes.fromhex(download.sha256)) == 32
    with pytest.raises(StepError):
        downloads.download_for("appimage-runtime", "macos-arm64")


def test_what_is_published_has_an_engine_for_its_platform() -> None:
    assert set(FLOORS) == set(PLANS)


def test_a_tag_has_to_be_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert runner.main(["version", f"v{__version__}"]) == 0
    assert capsys.readouterr().out == f"version={__version__}\n"
    for tag in ("v99.0.0", __version__, "", "nightly"):
        assert runner.main(["version", tag]) == 1
    assert "is not v" in capsys.readouterr().err


def test_later_steps_learn_where_the_runtime_is(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    chosen = {name: {"version": "1", "url": f"{address}/file.bin", "sha256": hashlib.sha256(CONTENT).hexdigest()}
              for name in FLOORS}
    (tmp_path / "downloads.json").write_text(json.dumps({"appimage-runtime": chosen}))
    monkeypatch.setattr(downloads, "LIST", tmp_path / "downloads.json")
    monkeypatch.setattr(runner, "this_platform", lambda: "linux-x64")
    (tmp_path / "env").write_text("BEFORE=1\n")
    monkeypatch.setenv("GITHUB_ENV", str(tmp_path / "env"))
    assert runner.main(["appimage-runtime"]) == 0
    before, ours = (tmp_path / "env").read_text().splitlines()
    assert before == "BEFORE=1"
    name, _equals, place = ours.partition("=")
    assert name == runner.RUNTIME_VARIABLE
    assert Path(place).read_bytes() == CONTENT


def test_the_compilers_variables_are_told_apart() -> None:
    listing = "Path=C:\\VC;C:\\Windows\r\nINCLUDE=C:\\VC\\include\r\nSECRET=1\r\nvctoolsinstalldir=C:\\VC\r\nodd line\r\n"
    assert runner.variables_of(listing) == {
        "PATH": "C:\\VC;C:\\Windows", "INCLUDE": "C:\\VC\\include", "VCToolsInstallDir": "C:\\VC"}


def test_steps_need_nothing_but_python() -> None:
    """They run before an environment exists: with no packages at all."""
    for module in ("tools.package.runner", "tools.package.smoke"):
        command = [sys.executable, "-S", "-c", f"import {module}"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr


def test_the_cache_has_a_key_here(capsys: pytest.CaptureFixture[str]) -> None:
    assert runner.main(["cache-key"]) == 0
    assert capsys.readouterr().out.startswith(f"engine={this_platform()}-")


def test_wrong_usage_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert runner.main([]) == 2
    assert runner.main(["nothing"]) == 2
    assert "tools.package.runner" in capsys.readouterr().err
