"""In the real window: a load that memory does not allow ends with less, and models side by side are listed and unloaded."""

from __future__ import annotations

import shutil
from pathlib import Path

import psutil
import pytest

from localai_app.engine.launch import worker_command
from localai_app.services.views import EngineStatus
from localai_app.store.records import MessageState
from tests.helpers.real_models import smollm2_path
from tests.helpers.real_window import open_window, wait_for
from tests.helpers.services_fixture import TINY_KEY, install_tiny_model

SMOL_REPO = "tester/SmolLM2-135M-Instruct-GGUF"
OTHER_KEY = "tester/Other-Chat-GGUF:F32"
CAP_BYTES = 270_000_000
"""Of main memory for each worker: enough for SmolLM2 with 4,096 tokens of context, not with 8,192 (94 MB more)."""


@pytest.mark.usefixtures("offline")
def test_a_load_beyond_memory_steps_down_says_so_and_answers(tmp_path: Path, qtbot: object) -> None:
    pytest.importorskip("llama_cpp")
    folder = tmp_path / "models" / SMOL_REPO
    folder.mkdir(parents=True)
    shutil.copy(smollm2_path(), folder / smollm2_path().name)
    worker = worker_command("llama", ("--memory-cap-bytes", str(CAP_BYTES)))
    with open_window(tmp_path, worker=worker, is_started=False) as run:
        run.services.settings.set("max_answer_tokens", 5)
        page = run.window.show_page("chat")
        page._on_send_requested("Say hi")  # type: ignore[attr-defined]
        wait_for(qtbot, lambda: run.services.engine.state.status is EngineStatus.READY, 60)
        strip = page.view.strip  # type: ignore[attr-defined]
        wait_for(qtbot, lambda: strip.reduced.words != "")
        assert strip.reduced.words == (
            "The memory did not suffice. SmolLM2-135M-Instruct runs with a context of 4,096 tokens instead of 8,192.")
        (chat,) = run.services.chat.conversations()

        def is_answered() -> bool:
            return run.services.chat.messages(chat.id)[-1].state is MessageState.DONE

        wait_for(qtbot, is_answered, 60)
        assert run.services.chat.messages(chat.id)[-1].text


@pytest.mark.usefixtures("offline")
def test_two_loaded_models_are_counted_listed_and_unloaded_one_by_one(tmp_path: Path, qtbot: object) -> None:
    install_tiny_model(tmp_path)
    install_tiny_model(tmp_path, "tester/Other-Chat-GGUF", "other-chat-F32.gguf")
    with open_window(tmp_path, worker=worker_command("echo")) as run:
        engine = run.services.engine
        page = run.window.show_page("chat")
        for key in (TINY_KEY, OTHER_KEY):
            page.model.choose(key)  # type: ignore[attr-defined]
            wait_for(qtbot, lambda wanted=key: engine.state.model_key == wanted and engine.state.is_alive)  # type: ignore[misc]
        button = run.window.status_line.models
        wait_for(qtbot, lambda: button.isVisible())
        assert "Other-Chat | 2 models loaded | CPU" in run.window.status_line.words
        wait_for(qtbot, lambda: "(" in run.window.gauges._memory_gauge.toolTip())  # type: ignore[union-attr]
        pids = {model.key: model.pid for model in engine.loaded()}
        page.model.choose(TINY_KEY)  # type: ignore[attr-defined]
        assert (engine.state.model_key, engine.pid) == (TINY_KEY, pids[TINY_KEY])

        button.open_list()
        opened = button.list
        assert opened is not None
        rows = {row.key: row for row in opened.rows}
        wait_for(qtbot, lambda: rows[TINY_KEY].words.startswith("Tiny-Chat: In use · "))
        rows[OTHER_KEY].unload_button.click()
        wait_for(qtbot, lambda: any("Other-Chat was unloaded: " in toast.message.text for toast in run.window.toasts.toasts))
        assert not psutil.pid_exists(pids[OTHER_KEY] or 0)
        wait_for(qtbot, lambda: not button.isVisible())
        opened.close()
        assert engine.pid == pids[TINY_KEY]
