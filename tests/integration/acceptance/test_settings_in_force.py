"""Every setting: changed on its page, kept over a restart, and read back from the place where it acts."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from PySide6.QtWidgets import QComboBox, QDoubleSpinBox, QLineEdit, QPlainTextEdit, QSpinBox

from localai_app.compare.comparison import ComparisonSpec, Way
from localai_app.compare.contestant import Contestant
from localai_app.compare.prompts import Prompt
from localai_app.engine.launch import worker_command
from localai_app.engine.rpc_greeting import Answer
from localai_app.errors import AppError
from localai_app.gui.metrics import type_sizes
from localai_app.gui.settings.setting_row import SettingRow
from localai_app.gui.theme import DARK
from localai_app.gui.widgets.switch import Switch
from localai_app.services.app_services import AppServices
from localai_app.services.engine_room import MemoryShort, RoomRules, room_rules
from localai_app.services.events import DownloadFinished
from localai_app.services.lending import LendingStatus
from localai_app.services.tuning import IDLE_S
from localai_app.services.update_steps import UpdateStatus
from localai_app.services.views import EngineStatus
from localai_app.settings.declaration import SETTINGS, Kind, SettingValue
from localai_app.units import GIB
from tests.helpers.forward_proxy import ForwardProxy
from tests.helpers.frame_fakes import REPORT
from tests.helpers.gguf_files import write_tiny_gguf
from tests.helpers.hub_server import HubServer, RepoFixture
from tests.helpers.real_window import RealWindow, open_window, wait_for
from tests.helpers.services_fixture import WAIT_S, EventRecorder, open_services, wait_until
from tests.helpers.signing import SigningKey, trust_in

pytestmark = pytest.mark.skipif(sys.platform == "win32" or shutil.which("tee") is None, reason="needs a POSIX shell and tee")

REPO = "tester/Tiny-GGUF"
KEY = f"{REPO}:F16"
FILE_BYTES = 3_000_000
HUB_THAT_ONLY_THE_PROXY_KNOWS = "http://hub.invalid"
LENDER_THAT_NOBODY_KNOWS = "lender.invalid:50052"


@pytest.fixture
def model_bytes(tmp_path: Path) -> bytes:
    path = write_tiny_gguf(tmp_path / "tiny-F16.gguf", n_embd=128, ctx_train=4096)
    data = path.read_bytes()
    return data + os.urandom(FILE_BYTES - len(data))


@pytest.fixture
def hub(model_bytes: bytes) -> Iterator[HubServer]:
    with HubServer({REPO: RepoFixture({"tiny-F16.gguf": model_bytes})}) as server:
        yield server


@pytest.fixture
def proxy(hub: HubServer) -> Iterator[ForwardProxy]:
    """The only way to a Hub with a name that nobody else knows."""
    with ForwardProxy({"hub.invalid": urlsplit(hub.endpoint).netloc}) as server:
        yield server


def free_port() -> int:
    """A port of this computer that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def enter(row: SettingRow, value: SettingValue) -> None:
    """Put a value in as the keyboard or the mouse would."""
    control = row.editor.control
    match control:
        case QComboBox():
            control.setCurrentIndex(control.findData(value))
            control.activated.emit(control.currentIndex())
        case QLineEdit():
            control.setText(str(value))
            control.editingFinished.emit()
        case QPlainTextEdit():
            control.setFocus()
            control.setPlainText(str(value))
            row.reset_button.setFocus()
            row.editor._decide()
        case QSpinBox() | QDoubleSpinBox():
            control.setValue(value / GIB if row.editor.spec.kind is Kind.MEMORY else value)
        case Switch():
            if control.isChecked() != value:
                control.click()
        case _:
            raise AssertionError(f"a kind of control that this test does not know: {type(control).__name__}")


def shown(row: SettingRow) -> object:
    """What stands in the control of a setting."""
    control = row.editor.control
    match control:
        case QComboBox():
            return control.currentData()
        case QLineEdit():
            return control.text()
        case QPlainTextEdit():
            return control.toPlainText()
        case QSpinBox() | QDoubleSpinBox():
            return control.value() * GIB if row.editor.spec.kind is Kind.MEMORY else control.value()
        case Switch():
            return control.isChecked()
        case _:
            raise AssertionError(type(control).__name__)


def recorded_worker(record: Path) -> list[str]:
    """The real worker with llama.cpp; every line that it is sent is also written to `record`."""
    return ["sh", "-c", f"tee {shlex.quote(str(record))} | exec {shlex.join(worker_command())}"]


def commands(record: Path, kind: str) -> list[dict[str, Any]]:
    """What the worker was sent."""
    lines = record.read_text(encoding="utf-8").splitlines() if record.exists() else []
    return [command for command in map(json.loads, lines) if command["type"] == kind]


def test_every_setting_is_kept_and_in_force_after_a_restart(
    tmp_path: Path, proxy: ForwardProxy, hub: HubServer, qapp, qtbot,
) -> None:
    models_folder, record = tmp_path / "other disk" / "Modelle ä", tmp_path / "commands.jsonl"
    models_folder.mkdir(parents=True)
    values: dict[str, SettingValue] = {
        "theme": "dark", "text_scale_percent": 125, "models_folder": str(models_folder), "bandwidth_limit_mb_per_s": 1,
        "task": "vision",
        "hub_endpoint": HUB_THAT_ONLY_THE_PROXY_KNOWS, "proxy": proxy.url, "context_tokens": 1024, "kv_type": "q8_0",
        "gpu_layers": 1, "threads": 1, "system_prompt": "Answer like a pirate.", "temperature": 0.25, "max_answer_tokens": 7,
        "context_policy": "cut_middle", "chat_states_gb": 0, "measure_models": False, "memory_short": "one", "most_models": 3,
        "idle_unload_minutes": 90, "lent_addresses": LENDER_THAT_NOBODY_KNOWS, "lend_devices": True,
        "lend_address": f"127.0.0.1:{free_port()}", "network_is_trusted": True,
        "memory_limit_bytes": GIB // 4, "check_for_updates": False,
    }
    assert values.keys() == {spec.key for spec in SETTINGS}, "a setting without a check of its effect"
    assert all(values[spec.key] != spec.default for spec in SETTINGS)
    data_dir = tmp_path / "data"
    with open_window(data_dir, is_started=False) as run:
        page = run.window.show_page("settings")
        for key, value in values.items():
            enter(page.rows[key], value)
            assert page.rows[key].problem == ""
    publisher = trust_in(SigningKey(), release_url=f"{proxy.url}/release.json")
    with open_window(data_dir, worker=recorded_worker(record), is_started=False, trust=publisher) as run:
        page = run.window.show_page("settings")
        assert {key: run.services.settings.get(key) for key in values} == values
        assert {key: shown(page.rows[key]) for key in values} == values
        check_appearance(run)
        check_updates(run.services)
        check_suggestions(run.services)
        check_downloads(run.services, proxy, hub, models_folder)
        check_sharing(run.services, str(values["lend_address"]), qtbot)
        check_comparisons(run.services)
        check_engine(run, record, qtbot)
        check_chat(run, record, qtbot)
        check_what_waits_for_idle(run, record, qtbot)
        check_unload(run, record, qtbot)


def check_appearance(run: RealWindow) -> None:
    assert run.window.theme.palette is DARK
    assert run.app.palette().window().color().name() == DARK.background
    assert run.window.theme.sizes == type_sizes(125)
    assert run.app.font().pixelSize() == type_sizes(125).body


def check_updates(services: AppServices) -> None:
    """Nobody is asked for a newer version, though this build has an address."""
    assert services.updates.state.status is UpdateStatus.OFF
    with pytest.raises(AppError, match="turned off"):
        services.updates.check()


def check_suggestions(services: AppServices) -> None:
    """Only models that see are suggested for questions about pictures."""
    cards = services.discovery.compute_now().cards
    assert cards
    assert all("vision" in card.model.tasks for card in cards)


def check_downloads(services: AppServices, proxy: ForwardProxy, hub: HubServer, models_folder: Path) -> None:
    """Hub address, proxy, folder and speed limit."""
    started_s = time.monotonic()
    services.downloads.start(REPO, None)
    while services.downloads.downloads():
        (view,) = services.downloads.downloads() or (None,)
        assert view is None or view.error is None, view
        time.sleep(0.02)
        assert time.monotonic() - started_s < 60
    assert time.monotonic() - started_s > FILE_BYTES / 1e6 / 2, "much faster than the limit of 1 MB/s"
    assert services.library.get(KEY).paths[0].is_relative_to(models_folder)
    assert len(hub.requests) == len(proxy.addresses) >= 4, "a request went around the proxy"
    assert any(address.startswith(f"{HUB_THAT_ONLY_THE_PROXY_KNOWS}/api/models/{REPO}") for address in proxy.addresses)


def check_comparisons(services: AppServices) -> None:
    """More models than the memory limit allows run in turn, for that reason."""
    tiny = Contestant(model_key=KEY, name="Tiny")
    spec = ComparisonSpec(contestants=(tiny,) * 6, prompts=(Prompt(text="Hello"),), way=Way.SIDE_BY_SIDE)
    schedule = services.compare.comparisons.plan(spec)
    assert schedule.way is Way.IN_TURN
    assert "the limit is 0.2 GiB" in schedule.reason


def check_sharing(services: AppServices, address: str, qtbot: object) -> None:
    """What is lent at the address, and that computers beyond this one are asked, which is only done in a trusted network."""
    assert services.lent.ready_addresses() == ()
    assert [(lender.address, lender.answer) for lender in services.lent.lenders] == [
        (LENDER_THAT_NOBODY_KNOWS, Answer.ABSENT)]
    services.lending.start()
    wait_for(qtbot, lambda: services.lending.state.status is LendingStatus.LENDING, 60)
    assert services.lending.state.address == address
    services.lending.stop()


def check_what_waits_for_idle(run: RealWindow, record: Path, qtbot: Any) -> None:
    """One model at a time, given back after 90 minutes, and nothing measured where that is not wanted."""
    assert room_rules(run.services.settings) == RoomRules(MemoryShort.ONE, 3)
    (timer,) = [thread for thread in threading.enumerate() if thread.name == "idle-unload"]
    assert isinstance(timer, threading.Timer)
    assert 85 * 60 < timer.interval <= 90 * 60
    run.services.tuning.start()
    qtbot.wait(round((IDLE_S + 1) * 1000))
    assert not commands(record, "tune")


def check_engine(run: RealWindow, record: Path, qtbot: object) -> None:
    """Context, its precision and threads as the worker was told and as it reports; layers where there is a GPU."""
    engine = run.services.engine
    engine.load(KEY)
    wait_for(qtbot, lambda: engine.state.status in (EngineStatus.READY, EngineStatus.FAILED), 60)
    loaded = engine.state.loaded
    assert loaded is not None, engine.state.error
    assert (loaded.ctx, loaded.threads) == (1024, 1)
    (load,) = commands(record, "load")
    assert load["options"]["kv_type"] == "q8_0"
    assert load["options"]["ctx"] == 1024
    assert load["options"]["threads"] == 1
    on_a_gpu = run.services.estimate.fit_installed(KEY, hardware=REPORT).load_options
    assert on_a_gpu is not None
    assert on_a_gpu.gpu_layers == 1


def check_chat(run: RealWindow, record: Path, qtbot: object) -> None:
    """System prompt, temperature, policy and length as the worker was told, and the length as it answers."""
    chat = run.services.chat
    conversation = chat.create()
    chat.send(conversation.id, "Hello", KEY)
    wait_for(qtbot, lambda: bool(commands(record, "chat")) and chat.answering_conversation_id is None, 60)
    (command,) = commands(record, "chat")
    assert (command["messages"][0]["role"], command["messages"][0]["content"]) == ("system", "Answer like a pirate.")
    assert command["sampling"]["temperature"] == 0.25
    assert command["sampling"]["max_tokens"] == 7
    assert command["overflow"] == "cut_middle"
    stats = chat.messages(conversation.id)[-1].stats
    assert stats is not None
    assert stats.completion_tokens <= 7


def test_the_speed_limit_acts_on_a_download_that_runs(
    tmp_path: Path, model_bytes: bytes, monkeypatch: pytest.MonkeyPatch,
) -> None:
    longer_than_anybody_waits = model_bytes + bytes(2 * round(WAIT_S * 1_000_000))
    with HubServer({REPO: RepoFixture({"tiny-F16.gguf": longer_than_anybody_waits})}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        with open_services(tmp_path / "data") as services:
            recorder = EventRecorder(services)
            services.settings.set("bandwidth_limit_mb_per_s", 1)
            services.downloads.start(REPO, None)
            wait_until(lambda: any(view.done_bytes for view in services.downloads.downloads()))
            services.settings.reset("bandwidth_limit_mb_per_s")
            recorder.wait_for(DownloadFinished)


def check_unload(run: RealWindow, record: Path, qtbot: object) -> None:
    """Without space for it, the state of the chat is not asked for."""
    run.services.engine.unload()
    wait_for(qtbot, lambda: bool(commands(record, "shutdown")), 60)
    assert not commands(record, "save_state")
