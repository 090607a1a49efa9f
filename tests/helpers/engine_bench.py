"""An engine over echo workers, with what its answers and events said."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from localai_app.engine.launch import worker_command
from localai_app.engine.protocol import (
    ChatMessage,
    FinishReason,
    GenerationStats,
    HistoryCut,
    LoadOptions,
    TextGenerated,
    ToolCall,
)
from localai_app.errors import AppError
from localai_app.fit.result import FitResult, Request
from localai_app.services.engine_control import EngineControl
from localai_app.services.engine_room import EngineRoom
from localai_app.services.engine_service import EngineService
from localai_app.services.engine_slot import WorkerProgram
from localai_app.services.events import EngineFailed, Event, EventBus, ModelLoaded
from localai_app.services.hardware_service import FreeMemory
from localai_app.services.load_way import LoadPlan
from localai_app.services.safe_setups import SafeSetUps
from localai_app.services.views import EngineStatus, InstalledModel, LoadedModel
from tests.helpers.services_fixture import wait_until

OPTIONS = LoadOptions(model_path="x.gguf", ctx=4096)
QUESTION = (ChatMessage(role="user", content="Go on for long"),)


class Sink:
    """Keeps what an answer said."""

    def __init__(self) -> None:
        self.text = ""
        self.ends: list[FinishReason | AppError] = []

    def on_cut(self, cut: HistoryCut) -> None:
        self.cut = cut

    def on_text(self, event: TextGenerated) -> None:
        self.text += event.text

    def on_finished(self, reason: FinishReason, _stats: GenerationStats, _tool_calls: Sequence[ToolCall] = ()) -> None:
        self.ends.append(reason)

    def on_failed(self, error: AppError) -> None:
        self.ends.append(error)


class Bench:
    """An engine over echo workers whose plans take as long, or fail, as a test says."""

    def __init__(
        self, folder: Path, *options: str, room: EngineRoom | None = None, set_ups: SafeSetUps | None = None,
        free_now: Callable[[], FreeMemory] | None = None, command: Sequence[str] = (),
    ) -> None:
        self.bus = EventBus()
        self.events: list[Event] = []
        self.bus.subscribe(self.events.append)
        self.plan_s: dict[str, float] = {}
        self.plan_errors: dict[str, Exception] = {}
        self.asked: list[tuple[str, tuple[str, ...]]] = []
        self.fit_of: Callable[[str, Sequence[LoadedModel]], FitResult | None] = lambda _key, _instead_of: None
        self.planning = threading.Event()
        self._folder = folder
        self.engine = EngineService(
            self.bus, WorkerProgram(
                command or worker_command("echo", options), folder, itertools.count(1), set_ups),
            EngineControl(self.bus, self.plan, room, free_now))

    def plan(
        self, model_key: str, request: Request | None = None, *, anyway: bool = False,
        instead_of: Sequence[LoadedModel] = (),
    ) -> LoadPlan:
        self.planning.set()
        time.sleep(self.plan_s.get(model_key, 0.0))
        if model_key in self.plan_errors:
            raise self.plan_errors[model_key]
        self.asked.append((model_key, tuple(model.key for model in instead_of)))
        fit = self.fit_of(model_key, instead_of)
        model = InstalledModel(
            key=model_key, name=model_key, label="", repo_id="", paths=(self._folder / "x.gguf",), size_bytes=1, source="test")
        return LoadPlan(model, fit.load_options if fit is not None and fit.load_options is not None else OPTIONS, fit)

    def loaded_keys(self) -> list[str]:
        return [event.model_key for event in list(self.events) if isinstance(event, ModelLoaded)]

    def failures(self) -> list[EngineFailed]:
        return [event for event in list(self.events) if isinstance(event, EngineFailed)]

    def wait_ready(self, key: str) -> None:
        def is_ready() -> bool:
            state = self.engine.state
            return state.status is EngineStatus.READY and state.model_key == key

        wait_until(is_ready, what=lambda: f"{self.engine.state}")
