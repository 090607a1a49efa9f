"""The main job from the window, in a real process on a screen of its own, with real models and a real Hub."""

from __future__ import annotations

import signal
import time

import psutil
import pytest

from localai_app.services.chat_service import title_from
from tests.e2e.conftest import Program
from tests.e2e.scenarios import QUESTION
from tests.helpers.hub_server import HubServer

pytestmark = [pytest.mark.model, pytest.mark.timeout(300)]


def test_click_download_chat_and_find_it_again_after_a_restart(program: Program, hub: HubServer) -> None:
    seen = program.run("first_run")
    assert "This computer can run 2 of 2 models" in seen["title"]
    assert len(seen["answer"]) > 20
    assert seen["tps"] > 1
    assert "tok/s" in seen["live"]
    assert "tok/s" in seen["screen"]
    assert "first after" in seen["screen"]
    again = program.run("restart")
    assert again["titles"] == [title_from(QUESTION)]


def test_killing_the_worker_keeps_the_window_and_one_click_goes_on(program: Program) -> None:
    program.run("first_run")
    seen = program.run("kill_worker")
    assert len(seen["kept"]) > 20
    assert "SIGKILL" in seen["words"] or "memory" in seen["words"]
    assert seen["after"].startswith(seen["kept"])
    assert len(seen["after"]) > len(seen["kept"])


def test_killing_the_program_at_half_of_a_download_resumes_there(program: Program, hub: HubServer) -> None:
    hub.bytes_per_s = 20_000_000
    process = program.start("start_download")
    try:
        _wait_for_half(program)
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.communicate()
    _wait_for_no_children()
    n_before = len(hub.requests)
    hub.bytes_per_s = 0
    seen = program.run("finish_download")
    assert seen["models"] == ["local-ai-demo/SmolLM2-135M-Instruct-GGUF:Q4_1"]
    ranges = [record.range for record in hub.requests[n_before:] if record.site == "cdn" and record.range]
    offsets = [int(text.removeprefix("bytes=").split("-")[0]) for text in ranges]
    assert offsets, "no ranged request after the restart"
    assert max(offsets) > 10_000_000


def _wait_for_half(program: Program) -> None:
    deadline_s = time.monotonic() + 60
    while time.monotonic() < deadline_s:
        parts = [path for path in program.data_dir.rglob("*") if path.is_file() and "SmolLM2" in path.name]
        if any(path.stat().st_size > 45_000_000 for path in parts):
            return
        time.sleep(0.02)
    raise AssertionError("the download did not come to half in a minute")


def _wait_for_no_children() -> None:
    deadline_s = time.monotonic() + 10
    while any("localai_app" in " ".join(child.cmdline()) for child in psutil.Process().children(recursive=True)):
        assert time.monotonic() < deadline_s, "a worker outlived the program"
        time.sleep(0.05)
