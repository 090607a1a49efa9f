"""The folder of runtime packs where the disk does not do what it is asked to."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from localai_app.engine.pack_folder import PACK_NAME, VERIFIED_NAME, Verified
from localai_app.services.packs.folders import PackFolders


@pytest.fixture
def folders(tmp_path: Path) -> PackFolders:
    """With one pack."""
    folder = tmp_path / "lcpp-1" / "extra-1.0"
    folder.mkdir(parents=True)
    (folder / PACK_NAME).write_text("{}")
    (folder / "libggml-cuda.so").write_bytes(b"library")
    (folder / VERIFIED_NAME).write_bytes(msgspec.json.encode(Verified(
        pack_id="extra", engine_id="lcpp-1", version="1.0", label="Extra", archive_sha256="", size_bytes=7, installed_s=0.0,
        order=1)))
    return PackFolders(tmp_path)


def test_a_pack_whose_files_are_in_use_does_not_count_and_goes_later(
    folders: PackFolders, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Windows renames no folder of which a library is loaded."""
    (pack,) = folders.installed()

    def refuse(_self: Path, _target: Path) -> Path:
        raise PermissionError(13, "Access is denied")

    with monkeypatch.context() as windows:
        windows.setattr(Path, "rename", refuse)
        folders.discard(pack.folder)
    assert folders.installed() == []
    assert folders.sweep(0.0) == [pack.folder]
    assert list(folders.root.iterdir()) == []


def test_a_mark_that_cannot_be_taken_away_is_told(folders: PackFolders, monkeypatch: pytest.MonkeyPatch) -> None:
    (pack,) = folders.installed()

    def refuse(_self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Access is denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(PermissionError):
        folders.discard(pack.folder)
    assert len(folders.installed()) == 1


def test_a_folder_that_cannot_be_listed_hides_no_pack(folders: PackFolders, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process took it away meanwhile, or it belongs to somebody else."""
    (folders.root / "lcpp-0").mkdir()
    listed = Path.iterdir

    def vanishing(self: Path) -> object:
        if self.name == "lcpp-0":
            raise FileNotFoundError(2, "No such file or directory")
        return listed(self)

    monkeypatch.setattr(Path, "iterdir", vanishing)
    assert [each.verified.pack_id for each in folders.installed()] == ["extra"]
