"""Unloads models that nobody asked for a while, as long as the settings want it."""

from __future__ import annotations

import time

from localai_app.services.engine_service import EngineService
from localai_app.services.events import Event, EventBus, ModelLoaded, SettingChanged
from localai_app.services.late_call import LateCall
from localai_app.services.settings_service import SettingsService

SETTING = "idle_unload_minutes"
_LOOK_AGAIN_S = 1.0
"""The least pause between two looks, for a model that was due in the middle of an answer."""


class IdleUnloader:
    """One timer at a time, set for the moment at which the next model may be due; none while nothing is loaded."""

    def __init__(self, events: EventBus, settings: SettingsService, engine: EngineService, *, minute_s: float = 60.0) -> None:
        """`minute_s`: what a minute lasts, for tests."""
        self._settings = settings
        self._engine = engine
        self._minute_s = minute_s
        self._late = LateCall("idle-unload")
        self._unsubscribe = events.subscribe(self._on_event)

    def close(self) -> None:
        """Unload nothing more."""
        self._unsubscribe()
        self._late.close()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, ModelLoaded) or (isinstance(event, SettingChanged) and event.key == SETTING):
            self._set_timer()

    def _limit_s(self) -> float:
        return self._settings.integer(SETTING) * self._minute_s

    def _set_timer(self) -> None:
        limit_s, used = self._limit_s(), [model.used_s for model in self._engine.loaded()]
        if limit_s and used:
            self._late.set(max(min(used) + limit_s - time.monotonic(), min(_LOOK_AGAIN_S, limit_s)), self._on_time)
        else:
            self._late.drop()

    def _on_time(self) -> None:
        limit_s = self._limit_s()
        if limit_s:
            self._engine.unload_idle(limit_s)
        self._set_timer()
