"""An engine over echo workers, with what its answers and events said."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from localai_app.engine.launch import worker_command
from localai_app.engine.protocol import ChatMessage, FinishReason, GenerationStats, HistoryCut, LoadOptions
from localai_app.errors import AppError
from localai_app.fit.result import Request
from localai_app.services.engine_service import EngineService
from localai_app.services.engine_slot import LoadPlan
from localai_app.services.events import EngineFailed, Event, EventBus, ModelLoaded
from localai_app.services.views import EngineStatus, InstalledModel
from tests.helpers.services_fixture import wait_until

QUESTION = (ChatMessage(role="user", content="Go on for long"),)


class Sink:
    """Keeps what an answer said."""

    def __init__(self) -> None:
        self.text = ""
        self.ends: list[FinishReason | AppError] = []

    def on_cut(self, cut: HistoryCut) -> None:
        self.cut = cut

    def on_text(self, text: str, _stats: GenerationStats) -> None:
        self.text += text

    def on_finished(self, reason: FinishReason, _stats: GenerationStats) -> None:
        self.ends.append(reason)

    def on_failed(self, error: AppError) -> None:
        self.ends.append(error)


class Bench:
    """An engine over echo workers whose plans take as long, or fail, as a test says."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.bus = EventBus()
        self.events: list[Event] = []
        self.bus.subscribe(self.events.append)
        self.plan_s: dict[str, float] = {}
        self.plan_errors: dict[str, Exception] = {}
        self.planning = threading.Event()
        self._folder = folder
        self.engine = EngineService(self.bus, self.plan, worker_command("echo", options), folder)

    def plan(self, model_key: str, request: Request | None = None, *, anyway: bool = False) -> LoadPlan:
        self.planning.set()
        time.sleep(self.plan_s.get(model_key, 0.0))
        if model_key in self.plan_errors:
            raise self.plan_errors[model_key]
        model = InstalledModel(
            key=model_key, name=model_key, label="", repo_id="", paths=(self._folder / "x.gguf",), size_bytes=1, source="test")
        return LoadPlan(model, LoadOptions(model_path="x.gguf", ctx=4096))

    def loaded_keys(self) -> list[str]:
        return [event.model_key for event in list(self.events) if isinstance(event, ModelLoaded)]

    def failures(self) -> list[EngineFailed]:
        return [event for event in list(self.events) if isinstance(event, EngineFailed)]

    def wait_ready(self, key: str) -> None:
        def is_ready() -> bool:
            state = self.engine.state
            return state.status is EngineStatus.READY and state.model_key == key

        wait_until(is_ready, what=lambda: f"{self.engine.state}")
