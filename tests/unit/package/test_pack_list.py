"""The signed list of packs: from an archive that was really packed to what an installed program believes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from localai_app.release.acceptance import PACKS, accepted
from localai_app.release.memory import SeenNumbers
from localai_app.release.trust import load_trust
from tools.dev.console import StepError
from tools.package import keys
from tools.package.pack_archive import Pack, entry_of, lay_out, write_archive
from tools.package.pack_list import main, make_list

PACK = Pack("cuda13", "1.0", "NVIDIA CUDA 13", "linux-x64", "lcpp-0c1e57098-1", "0.3.36", ("libggml-cuda.so",))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "library").write_bytes(b"\x7fELF" * 100)
    (tmp_path / "licence").write_text("You may.")
    place = tmp_path / "packs"
    place.mkdir()
    files = {"libggml-cuda.so": tmp_path / "library", "licences/NVIDIA-CUDA.txt": tmp_path / "licence"}
    laid_out = lay_out(PACK, files, tmp_path / "laid-out")
    archive = write_archive(laid_out, place / f"{PACK.name}.tar.xz")
    entry = entry_of(PACK, archive, laid_out, {"min_driver": "580", "licence_file": "licences/NVIDIA-CUDA.txt"})
    (place / f"{PACK.name}.entry.json").write_text(json.dumps(entry))
    return place


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    keys.make_key(tmp_path / "release.key")
    return tmp_path / "release.key"


def test_the_list_is_believed(folder: Path, key_file: Path, tmp_path: Path) -> None:
    path = make_list(folder, keys.private_keys({keys.KEY_FILE_VARIABLE: str(key_file)}))
    trust = tmp_path / "trust.json"
    trust.write_bytes(keys.trust_document(keys.entries_of([key_file]), "", "https://packs.example/packs.json", []))
    document = accepted(path.read_bytes(), PACKS, load_trust(trust), SeenNumbers(tmp_path / "seen.json"))
    [pack] = document.packs
    assert (pack.pack_id, pack.engine_id, pack.min_driver) == ("cuda13", "lcpp-0c1e57098-1", "580")
    assert pack.archive.size_bytes == (folder / f"{PACK.name}.tar.xz").stat().st_size


def test_the_command_line_says_what_is_wrong(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv(keys.KEY_VARIABLE, raising=False)
    monkeypatch.delenv(keys.KEY_FILE_VARIABLE, raising=False)
    assert main([str(folder)]) == 1
    assert "There is no key" in capsys.readouterr().err


@pytest.mark.parametrize("fault", ["no key", "no entry", "archive changed", "archive gone", "damaged", "without sense"])
def test_what_is_not_whole_is_not_signed(folder: Path, key_file: Path, fault: str) -> None:
    archive, entry = folder / f"{PACK.name}.tar.xz", folder / f"{PACK.name}.entry.json"
    private = keys.private_keys({keys.KEY_FILE_VARIABLE: str(key_file)})
    if fault == "no key":
        private = []
    elif fault == "no entry":
        entry.unlink()
    elif fault == "archive changed":
        archive.write_bytes(archive.read_bytes()[:-1] + b"\0")
    elif fault == "archive gone":
        archive.unlink()
    elif fault == "damaged":
        entry.write_text("[]")
    else:
        entry.write_text(json.dumps(json.loads(entry.read_text()) | {"unpacked_bytes": 1}))
    with pytest.raises(StepError):
        make_list(folder, private)
    assert not (folder / "packs.json").exists()
