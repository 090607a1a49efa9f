"""`localai-app packs` in words and as JSON, from a list and an archive that lie on this computer."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from localai_app import bootstrap
from localai_app.cli.main import run_command
from localai_app.release.trust import Trust
from tests.helpers.file_server import file_server
from tests.helpers.packs import ENGINE_ID, PLATFORM, PackBench
from tests.helpers.signing import packs

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the stand-ins are made for Linux")


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PackBench]:
    with file_server() as server:
        made = PackBench(tmp_path, server, monkeypatch)
        monkeypatch.setattr("localai_app.cli.main.setup_logging", lambda *_paths, **_options: None)
        monkeypatch.setattr(bootstrap, "load_trust", lambda: made.trust)
        monkeypatch.setattr(bootstrap, "this_platform", lambda: PLATFORM)
        monkeypatch.setattr(bootstrap, "detect_hardware", lambda: made.report)
        yield made


def run(bench: PackBench, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = run_command(["packs", *arguments, "--data-dir", str(bench.paths.data)])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_list_install_and_remove(bench: PackBench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.publish(bench.pack())
    status, out, _err = run(bench, capsys, "list")
    assert status == 0
    assert "extra: Extra 1.0." in out
    assert "localai-app packs install extra" in out
    assert "Download " in out
    status, out, err = run(bench, capsys, "install", "extra")
    assert (status, out) == (0, "Extra 1.0 is installed.\n")
    assert "Trying it out in a process of its own." in err
    status, out, _err = run(bench, capsys, "list", "--installed", "--json")
    (listed,) = msgspec.json.decode(out)["installed"]
    assert (listed["pack_id"], listed["version"], listed["engine_id"]) == ("extra", "1.0", ENGINE_ID)
    status, out, _err = run(bench, capsys, "remove", "extra")
    assert (status, out) == (0, "extra was removed.\n")
    status, out, err = run(bench, capsys, "remove", "extra")
    assert status == 1
    assert "There is no runtime pack extra." in err


def test_from_a_file(bench: PackBench, capsys: pytest.CaptureFixture[str]) -> None:
    entry, archive = bench.pack()
    (archive.parent / "packs.json").write_bytes(bench.key.sign_packs(packs(packs=[entry])))
    status, out, _err = run(bench, capsys, "install", "--from", str(archive))
    assert (status, out) == (0, "Extra 1.0 is installed.\n")
    assert bench.server.requests == []


def test_wrong_use_and_a_build_without_keys(
    bench: PackBench, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert run(bench, capsys, "install")[0] == 2
    monkeypatch.setattr(bootstrap, "load_trust", Trust)
    status, _out, err = run(bench, capsys, "list")
    assert status == 1
    assert "was built without an address to ask for its list of runtime packs" in err
