"""The frozen program asks for a newer version, verifies what comes, and downloads it; a copy of it trusts a key of the test."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from localai_app.services.installation import this_platform
from tests.helpers.signing import SigningKey, artefact, release, trust_json
from tests.helpers.update_services import Publisher, publisher
from tools.package import smoke

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the artefacts of Linux")

CONTENT = b"the next version" * 10_000
PLATFORM = f"{this_platform()}-tar"


@pytest.fixture
def house() -> Iterator[Publisher]:
    with publisher() as running:
        yield running


@pytest.fixture
def copy(needs: Callable[[str | Path], Path], house: Publisher, tmp_path: Path) -> Path:
    """The bundle, file by file the same but for whom it trusts."""
    bundle, folder = needs(smoke.BUNDLE), tmp_path / "localai-app"
    shutil.copytree(bundle, folder, symlinks=True, copy_function=_linked)
    (trust,) = folder.rglob("resources/release/trust.json")
    trust.unlink()
    trust.write_text(trust_json(house.key, release_url=f"{house.server.url}/release.json"))
    return folder / "localai-app"


def _linked(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target


def ask(program: Path, folder: Path, *words: str) -> dict[str, Any]:
    done = subprocess.run(
        [str(program), "updates", *words, "--json", "--data-dir", str(folder)], capture_output=True, text=True, check=False,
        timeout=150, env={**os.environ, "HOME": str(folder)})
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_the_frozen_program_finds_verifies_and_downloads_a_newer_version(copy: Path, house: Publisher, tmp_path: Path) -> None:
    house.server.serve("/release.json", house.key.sign(release(5, "99.0", artefacts=[artefact(CONTENT, PLATFORM)])))
    house.server.serve("/files/localai-app.tar", CONTENT)
    found = ask(copy, tmp_path / "data", "--download")
    assert "error" not in found, found["error"]
    assert (found["installation"], found["newest"]["version"]) == (PLATFORM, "99.0")
    assert Path(found["downloaded"]).read_bytes() == CONTENT
    assert {request.headers["user-agent"] for request in house.server.requests} == {"localai-app"}
    house.server.serve("/release.json", house.key.sign(release(4, "99.1")))
    assert ask(copy, tmp_path / "data")["error"]["code"] == "signed_document_rolled_back"
    house.server.serve("/release.json", SigningKey().sign(release(6, "99.1")))
    assert ask(copy, tmp_path / "data")["error"]["code"] == "signature_invalid"


def test_the_bundle_as_it_is_asks_nobody(needs: Callable[[str | Path], Path], tmp_path: Path) -> None:
    if os.environ.get("LOCALAI_TRUST_FILE"):
        pytest.skip("made with the keys of a publisher")
    program = needs(smoke.BUNDLE) / "localai-app"
    assert ask(program, tmp_path / "data")["error"]["code"] == "nothing_to_ask"
