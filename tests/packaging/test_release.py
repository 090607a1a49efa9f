"""A release of what was really built here: signed by a key of the test, believed by the program, and refused when changed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from localai_app.release.trust import load_trust
from tests.packaging.built_here import Needs, only_artefact
from tools.dev.console import StepError
from tools.package import keys, smoke
from tools.package.release import NOTES, make_release
from tools.package.smoke_report import REPORT_SUFFIX, why_untested
from tools.package.verify import verify_release

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the artefacts of Linux")


def test_what_was_built_can_be_released_and_not_be_changed(needs: Needs, tmp_path: Path) -> None:
    folder = tmp_path / "dist"
    folder.mkdir()
    for ending in (".deb", ".tar.xz"):
        artefact = only_artefact(needs, ending)
        if why_untested(artefact):
            assert smoke.check(artefact).problem == ""
        for path in (artefact, artefact.with_name(artefact.name + REPORT_SUFFIX)):
            (folder / path.name).write_bytes(path.read_bytes())
    keys.make_key(tmp_path / "release.key")
    private = keys.private_keys({keys.KEY_FILE_VARIABLE: str(tmp_path / "release.key")})
    trust = tmp_path / "trust.json"
    trust.write_bytes(keys.trust_document(
        keys.entries_of([tmp_path / "release.key"]), "https://releases.example/release.json", "", []))

    make_release(folder, NOTES, private, "https://releases.example/v1")

    document = verify_release(folder, load_trust(trust))
    assert {artefact.platform.rpartition("-")[2] for artefact in document.artefacts} == {"deb", "tar"}
    assert all((folder / artefact.file_name).stat().st_size == artefact.size_bytes for artefact in document.artefacts)
    changed = only_artefact(lambda name: folder / name, ".deb")
    with changed.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last[0] ^ 1]))
    with pytest.raises(StepError, match="not the file that was signed"):
        verify_release(folder, load_trust(trust))
    with pytest.raises(StepError, match="not the file that was tested"):
        make_release(folder, NOTES, private)
