"""The command that looks for newer versions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localai_app import bootstrap
from localai_app.cli.main import run_command
from tests.helpers.signing import trust_in
from tests.helpers.update_services import DEB, PACKAGE, Publisher, publisher


@pytest.fixture(autouse=True)
def no_log_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands run in this process, which has a log of its own."""
    monkeypatch.setattr("localai_app.cli.main.setup_logging", lambda *_paths, **_options: None)


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    """A publisher whose address and keys are those of the build, which came as a .deb."""
    with publisher() as running:
        running.publish(notes="- faster")
        trust = trust_in(running.key, release_url=f"{running.server.url}/release.json")
        monkeypatch.setattr(bootstrap, "load_trust", lambda: trust)
        monkeypatch.setattr(bootstrap, "this_installation", lambda: DEB)
        yield running


def run(capsys: pytest.CaptureFixture[str], folder: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    code = run_command(["updates", *arguments, "--json", "--data-dir", str(folder)])
    return code, json.loads(capsys.readouterr().out)


def test_it_says_what_is_new_and_downloads_on_demand(
    tmp_path: Path, house: Publisher, capsys: pytest.CaptureFixture[str],
) -> None:
    code, found = run(capsys, tmp_path)
    assert (code, found["status"], found["installation"], found["downloaded"]) == (0, "available", "linux-x64-deb", None)
    assert (found["newest"]["version"], found["newest"]["file"]["size_bytes"]) == ("99.0", len(PACKAGE))
    assert house.count("/files/localai-app.deb") == 0
    code, found = run(capsys, tmp_path, "--download")
    assert Path(found["downloaded"]).read_bytes() == PACKAGE
    assert run_command(["updates", "--data-dir", str(tmp_path)]) == 0
    words = capsys.readouterr().out
    assert "- faster" in words
    assert f"sudo apt install {found['downloaded']}" in words


def test_a_forged_list_and_a_switch_that_is_off_are_errors(
    tmp_path: Path, house: Publisher, capsys: pytest.CaptureFixture[str],
) -> None:
    house.server.serve("/release.json", b"{}")
    assert run(capsys, tmp_path)[1]["error"]["code"] == "signed_document_invalid"
    asked = len(house.server.requests)
    assert run_command(["settings", "check_for_updates", "off", "--data-dir", str(tmp_path)]) == 0
    capsys.readouterr()
    code, found = run(capsys, tmp_path, "--download")
    assert (code, found["error"]["code"]) == (1, "updates_off")
    assert len(house.server.requests) == asked


def test_a_build_without_an_address_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = run(capsys, tmp_path)
    assert (code, found["error"]["code"]) == (1, "nothing_to_ask")
    assert "git pull" in found["error"]["action"]
