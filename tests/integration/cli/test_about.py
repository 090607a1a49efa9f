"""What the program says of itself: version, about, and the self-check in a checkout."""

from __future__ import annotations

from pathlib import Path

from localai_app import __version__
from tests.helpers.program import run_program


def test_about_names_version_engine_and_terms(tmp_path: Path) -> None:
    told = run_program("about", "--json", "--data-dir", tmp_path).document
    assert told["version"] == __version__
    assert told["engine"].startswith("llama-cpp-python")
    assert told["notices"] is None
    in_words = run_program("about", "--notices", "--data-dir", tmp_path)
    assert in_words.code == 0
    assert "checkout" in in_words.stdout


def test_the_version_leaves_no_trace(tmp_path: Path) -> None:
    told = run_program("--version", environment={"HOME": str(tmp_path), "XDG_DATA_HOME": "", "PYTHONDONTWRITEBYTECODE": "1"})
    assert (told.code, told.stdout) == (0, f"localai-app {__version__}\n")
    assert list(tmp_path.iterdir()) == []


def test_the_self_check_fails_where_the_window_cannot_be_drawn(tmp_path: Path) -> None:
    checked = run_program(
        "--self-check", "--data-dir", tmp_path, environment={"QT_QPA_PLATFORM": "none_of_them", "DISPLAY": ":0"})
    assert checked.code == 1
    report = checked.document
    assert report["ok"] is False
    assert report["problem"].startswith("frame: the window's process ended with status")
    assert (report["engine"], report["modules"], report["resources"]) == ("works", "works", "works")
    assert report["decoded"]["tokens"] == 160
    assert report["decoded"]["build"] == "installed/cpu"
