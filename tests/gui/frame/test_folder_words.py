from __future__ import annotations

import os
from pathlib import Path

import pytest

from localai_app.gui.folder_words import folder_words


@pytest.mark.skipif(os.name == "nt", reason="nobody writes ~ on Windows")
def test_the_home_folder_is_left_out_and_can_be_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / "models" / "here"
    assert folder_words(folder) == "~/models/here"
    assert Path(folder_words(folder)).expanduser() == folder
    assert folder_words(tmp_path.parent) == str(tmp_path.parent)
    assert folder_words(tmp_path.parent / f"{tmp_path.name}-2") == f"{tmp_path}-2"


def test_without_a_home_of_its_own_a_path_is_shown_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(Path.cwd().anchor)
    monkeypatch.setattr(Path, "home", lambda: root)
    assert folder_words(root / "srv" / "models") == str(root / "srv" / "models")
