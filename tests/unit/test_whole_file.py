"""Files that are written whole while somebody else reads them."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from localai_app import whole_file
from localai_app.whole_file import write_whole


def test_a_reader_does_not_keep_a_file_from_being_written(tmp_path: Path) -> None:
    """Windows lets nobody rename over a file that is open; elsewhere it does no harm."""
    path = tmp_path / "settings.json"
    path.write_bytes(b"old")
    with path.open("rb") as reader:
        closing = threading.Timer(0.2, reader.close)
        closing.start()
        write_whole(path, b"new")
        closing.join()
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("is_windows", "refusals", "is_written"), [(True, 3, True), (True, 10_000, False), (False, 1, False)])
def test_a_rename_that_is_refused_is_tried_again_on_windows_for_a_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_windows: bool, refusals: int, is_written: bool,
) -> None:
    path, replace, asked = tmp_path / "settings.json", Path.replace, []

    def refuse_first(new: Path, target: Path) -> Path:
        asked.append(target)
        if len(asked) <= refusals:
            raise PermissionError(13, "used by another process")
        return replace(new, target)

    path.write_bytes(b"old")
    monkeypatch.setattr(Path, "replace", refuse_first)
    monkeypatch.setattr(whole_file, "_IS_WINDOWS", is_windows)
    monkeypatch.setattr(whole_file, "_PATIENCE_S", 0.2)
    if is_written:
        write_whole(path, b"new")
    else:
        with pytest.raises(PermissionError):
            write_whole(path, b"new")
    assert path.read_bytes() == (b"new" if is_written else b"old")
    assert list(tmp_path.iterdir()) == [path]
