"""What goes wrong is one clear sentence with a remedy on the page where it happened; the window goes on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from localai_app.engine.launch import worker_command
from localai_app.gui.opening import open_target
from localai_app.hardware.report import Memory
from localai_app.services.views import DownloadStatus, EngineStatus
from tests.helpers.frame_fakes import REPORT
from tests.helpers.gguf_files import write_tiny_gguf
from tests.helpers.hub_server import HubServer, RepoFixture
from tests.helpers.real_window import RealWindow, open_window, wait_for
from tests.helpers.services_fixture import TINY_KEY, install_tiny_model

REPO = "tester/Tiny-GGUF"
FILE = "tiny-Q8_0.gguf"
FULL_MEMORY = Memory(total_bytes=2 * 1024**3, available_bytes=1_000_000)
COMPUTER = msgspec.structs.replace(REPORT, gpus=(), engine_devices=(), memory=FULL_MEMORY)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    tiny = write_tiny_gguf(tmp_path / "source.gguf").read_bytes()
    with HubServer({REPO: RepoFixture({FILE: tiny + os.urandom(2_000_000)})}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        yield server


def open_quietly(data_dir: Path):
    """The window without probes, with a worker that computes nothing."""
    return open_window(data_dir, worker=worker_command("echo"), is_started=False)


def assert_said(run: RealWindow, qtbot: object, sentence: str, remedy: str) -> None:
    """Both sentences come on the screen, in words for people, and nothing covers the window."""
    wait_for(qtbot, lambda: sentence in words_on(run))
    assert remedy in words_on(run)
    assert "Traceback" not in words_on(run)
    assert "Error:" not in words_on(run)
    assert run.dialogs() == []


def words_on(run: RealWindow) -> str:
    """The texts without the line breaks and unbroken spaces that the layout put in."""
    return " ".join(run.texts().replace("\u00a0", " ").replace("\u200b", "").split())


# --- files -------------------------------------------------------------------------------------
@pytest.mark.parametrize(("content", "sentence", "remedy"), [
    (b"just some text, and more of it than a header has", "is not a GGUF model file.", "Choose a file in the GGUF format"),
    (b"", "is not a GGUF model file.", "Choose a file in the GGUF format"),
    ("half", "is incomplete: it ends in the middle of", "Download it again."),
])
def test_a_file_that_is_no_model(
    tmp_path: Path, offline: None, qapp, qtbot, content: bytes | str, sentence: str, remedy: str,
) -> None:
    path = write_tiny_gguf(tmp_path / "my model.gguf")
    path.write_bytes(path.read_bytes()[:4000] if isinstance(content, str) else content)
    with open_quietly(tmp_path / "data") as run:
        open_target(str(path), run.window, run.services, run.window.messages)
        assert_said(run, qtbot, f"my model.gguf {sentence}", remedy)
        assert run.services.library.models() == ()
        assert path.exists()


@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_an_installed_model_that_was_damaged_since(tmp_path: Path, offline: None, qapp, qtbot, damage: str) -> None:
    path = install_tiny_model(tmp_path)
    with open_quietly(tmp_path) as run:
        run.window.open_chat(TINY_KEY)
        if damage == "cut":
            path.write_bytes(path.read_bytes()[:4000])
        else:
            path.unlink()
        run.services.engine.load(TINY_KEY)
        wait_for(qtbot, lambda: run.services.engine.state.status is EngineStatus.FAILED)
        if damage == "cut":
            assert_said(run, qtbot, "is incomplete: it ends in the middle of", "Download it again.")
        else:
            assert_said(run, qtbot, f"No installed model is called {TINY_KEY}.", "See the installed ones on the Models page")


def test_a_model_that_is_too_large(
    tmp_path: Path, offline: None, monkeypatch: pytest.MonkeyPatch, qapp, qtbot,
) -> None:
    monkeypatch.setattr("localai_app.services.hardware_service.measure_memory", lambda: FULL_MEMORY)
    install_tiny_model(tmp_path)
    with open_quietly(tmp_path) as run:
        run.services.hardware._report = COMPUTER
        run.window.open_chat(TINY_KEY)
        run.services.engine.load(TINY_KEY)
        assert_said(run, qtbot, "Tiny-Chat needs", "Choose a smaller model or variant, or close other programs.")
        assert "is available." in words_on(run)
        assert run.button("Choose a model").isEnabled()


# --- downloads ---------------------------------------------------------------------------------
def wrong_hash(hub: HubServer, _folder: Path, _patch: pytest.MonkeyPatch) -> None:
    hub.fail(f"*{FILE}", "corrupt@1000", times=None)


def no_space(_hub: HubServer, _folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr("localai_app.hub.space.free_bytes", lambda _folder: 3_000_000)


def no_network(hub: HubServer, _folder: Path, _patch: pytest.MonkeyPatch) -> None:
    hub.close()


def folder_gone(_hub: HubServer, folder: Path, _patch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(folder)


Spoil = Callable[[HubServer, Path, pytest.MonkeyPatch], None]


@pytest.mark.parametrize(("spoil", "sentence", "remedy", "button"), [
    (wrong_hash, f"{FILE} arrived damaged: its checksum differs", "It was removed; download it again.", "Try again"),
    (no_space, "There is not enough free space in", "Free some space, or choose another models folder", "Open settings"),
    (no_network, "The Hub at 127.0.0.1 cannot be reached.", "Check the internet connection and the proxy", "Try again"),
    (folder_gone, "is not there.", "Connect the drive it is on, or choose another folder", "Open settings"),
])
def test_a_download_that_cannot_be(
    tmp_path: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch, expect_log, qapp, qtbot,
    spoil: Spoil, sentence: str, remedy: str, button: str,
) -> None:
    expect_log("download of .* failed")
    if spoil is wrong_hash:
        expect_log("arrived damaged")
    folder = tmp_path / "models"
    folder.mkdir()
    with open_quietly(tmp_path / "data") as run:
        run.services.settings.set("models_folder", str(folder))
        spoil(hub, folder, monkeypatch)
        check_failed_download(run, qtbot, sentence, remedy, button)
        assert run.services.library.models() == ()


def test_a_download_into_a_folder_that_cannot_be_written_to(
    tmp_path: Path, hub: HubServer, expect_log, qapp, qtbot,
) -> None:
    folder = tmp_path / "locked"
    folder.mkdir()
    is_mounted = os.name == "posix" and os.geteuid() == 0 and not subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "ro,size=4g", "tmpfs", str(folder)], capture_output=True, check=False).returncode
    if not is_mounted:
        folder.chmod(0o555)
        if os.access(folder, os.W_OK):
            pytest.skip("this user may write everywhere and may not mount a disk")
    expect_log("download of .* failed")
    try:
        with open_quietly(tmp_path / "data") as run:
            run.services.settings.set("models_folder", str(folder))
            check_failed_download(
                run, qtbot, "cannot be written to.", "Choose another folder in the settings", "Open settings")
    finally:
        if is_mounted:
            subprocess.run(["umount", str(folder)], check=True)
        folder.chmod(0o755)


def check_failed_download(run: RealWindow, qtbot: object, sentence: str, remedy: str, button: str) -> None:
    """The downloads tell what happened and what to do, the tab can still be used, and cancelling clears it away."""
    run.window.page("models")
    run.window.show_page("models").show_tab("Downloads")  # type: ignore[attr-defined]
    download_id = run.services.downloads.start(REPO, None)
    wait_for(qtbot, lambda: is_failed(run, download_id), 60)
    assert_said(run, qtbot, sentence, remedy)
    assert run.button(button).isEnabled()
    run.button("Cancel").click()
    wait_for(qtbot, lambda: run.services.downloads.downloads() == () and sentence not in words_on(run))


def is_failed(run: RealWindow, download_id: int) -> bool:
    view = run.services.downloads.get(download_id)
    return view is not None and view.status is DownloadStatus.FAILED


@pytest.mark.parametrize("reference", ["nobody/absent-GGUF", "https://huggingface.co/nobody/absent-GGUF"])
def test_a_repository_that_there_is_not(tmp_path: Path, hub: HubServer, qapp, qtbot, reference: str) -> None:
    with open_quietly(tmp_path) as run:
        open_target(reference, run.window, run.services, run.window.messages)
        assert_said(
            run, qtbot, "There is no model nobody/absent-GGUF on the Hub, or it is private.", "Check the spelling of its name.")


def test_a_repository_while_there_is_no_network(tmp_path: Path, offline: None, qapp, qtbot) -> None:
    with open_quietly(tmp_path) as run:
        open_target(f"hf:{REPO}", run.window, run.services, run.window.messages)
        assert_said(run, qtbot, "The Hub at 127.0.0.1 cannot be reached.", "Check the internet connection and the proxy")
        assert run.button("Try again").isEnabled()


# --- the program's own files -------------------------------------------------------------------
def test_a_damaged_settings_file(tmp_path: Path, offline: None, qapp, qtbot) -> None:
    (tmp_path / "settings.json").write_text("{broken", encoding="utf-8")
    with open_quietly(tmp_path) as run:
        assert_said(run, qtbot, "The settings file was damaged, so the defaults are in force.", "The damaged file is kept as")
        run.button("Open settings").click()
        assert run.window.page_name == "settings"
    assert (tmp_path / "settings.damaged-1.json").read_text(encoding="utf-8") == "{broken"


def test_a_damaged_store(tmp_path: Path, offline: None, expect_log, qapp, qtbot) -> None:
    expect_log("the store was damaged")
    (tmp_path / "localai.sqlite3").write_bytes(b"this is no database" * 1000)
    with open_quietly(tmp_path) as run:
        assert_said(run, qtbot, "The file with your chats was damaged.", "What could be read was recovered")


# --- no engine ---------------------------------------------------------------------------------
WITHOUT_LLAMA_CPP = (
    "import sys; sys.modules['llama_cpp'] = None; from localai_app.engine.worker.main import main; "
    "sys.exit(main(['--backend', 'llama']))")


def test_without_the_engine_the_window_opens_and_says_so(tmp_path: Path, offline: None, expect_log, qapp, qtbot) -> None:
    expect_log("the engine ended")
    install_tiny_model(tmp_path)
    with open_window(tmp_path, worker=[sys.executable, "-c", WITHOUT_LLAMA_CPP]) as run:
        wait_for(qtbot, lambda: run.services.discovery.suggestions is not None, 40)
        assert run.services.hardware.report is not None
        run.window.open_chat(TINY_KEY)
        run.services.engine.load(TINY_KEY)
        assert_said(
            run, qtbot, "The engine (llama.cpp) is not installed here.", "hardware, catalog and downloads work without it.")
