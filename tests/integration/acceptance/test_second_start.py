"""A second start of the program raises the window that is there and hands it what it was given; both are real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.helpers.display import virtual_display
from tests.helpers.gguf_files import write_tiny_gguf
from tests.helpers.hub_server import HubServer, RepoFixture
from tests.helpers.program import run_program
from tests.helpers.services_fixture import wait_until
from tests.helpers.window_process import paint_times_ms, running_window
from tests.helpers.x_windows import x_screen

REPO, OTHER_REPO = "tester/Tiny-GGUF", "tester/Other-GGUF"
OTHER_PROGRAM = """
from PySide6.QtWidgets import QApplication, QWidget
app = QApplication([])
window = QWidget()
window.setWindowTitle("Another program")
window.resize(1800, 1000)
window.show()
window.raise_()
app.processEvents()
print("shown", flush=True)
app.exec()
"""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    tiny = write_tiny_gguf(tmp_path / "source.gguf").read_bytes()
    with HubServer({repo: RepoFixture({"tiny-Q8_0.gguf": tiny}) for repo in (REPO, OTHER_REPO)}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        yield server


@contextmanager
def other_program(display: Mapping[str, str]) -> Iterator[None]:
    """Another program's window over everything."""
    process = subprocess.Popen([sys.executable, "-c", OTHER_PROGRAM], env={**os.environ, **display}, stdout=subprocess.PIPE)
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().strip() == b"shown"
            yield
        finally:
            process.kill()


def linked_models(data_dir: Path) -> list[str]:
    document = run_program("models", "--json", "--data-dir", data_dir).document
    return [path for model in document["models"] for path in model["paths"]]


def is_asked_for(hub: HubServer, repo_id: str) -> bool:
    return any(f"/api/models/{repo_id}" in record.path for record in hub.requests)


def test_a_second_start_hands_over_a_file_and_a_link(tmp_path: Path, hub: HubServer) -> None:
    data_dir, elsewhere = tmp_path / "data ä", tmp_path / "another folder"
    own = write_tiny_gguf(elsewhere / "own model-Q8_0.gguf")
    with virtual_display() as display, running_window(data_dir, display) as first:
        second = run_program("--data-dir", data_dir, own.name, cwd=elsewhere, environment=display)
        assert second.code == 0
        wait_until(lambda: linked_models(data_dir) == [str(own)])
        assert run_program("--data-dir", data_dir, f"hf:{REPO}", environment=display).code == 0
        wait_until(lambda: is_asked_for(hub, REPO))
        link = f"https://huggingface.co/{OTHER_REPO}/blob/main/tiny-Q8_0.gguf"
        assert run_program("--data-dir", data_dir, link, environment=display).code == 0
        wait_until(lambda: is_asked_for(hub, OTHER_REPO))
        assert first.poll() is None
        assert len(paint_times_ms(data_dir)) == 1, "a second window was opened"


def test_a_second_start_brings_the_window_to_the_front(tmp_path: Path, hub: HubServer) -> None:
    with virtual_display() as display:
        if "DISPLAY" not in display:
            pytest.skip("needs Xvfb")
        with running_window(tmp_path, display), other_program(display), x_screen(display["DISPLAY"]) as screen:
            if screen is None:
                pytest.skip("needs libX11")
            wait_until(lambda: screen.titles()[-1] == "Another program", what=lambda: f"the other window, {screen.titles()}")
            assert run_program("--data-dir", tmp_path, environment=display).code == 0
            wait_until(lambda: screen.titles()[-1].startswith("Local AI"), what=lambda: f"the window on top, {screen.titles()}")
            assert len(paint_times_ms(tmp_path)) == 1, "a second window was opened"
