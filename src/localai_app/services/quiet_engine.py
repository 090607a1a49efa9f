"""Work that needs the computer for itself: whether the engine is at work, and giving back what is loaded."""

from __future__ import annotations

import time

import psutil

from localai_app.services.engine_service import EngineService
from localai_app.services.views import EngineStatus

_UNLOAD_S = 10.0
_WAIT_S = 0.05
_BUSY = {EngineStatus.LOADING: "a model is being loaded", EngineStatus.ANSWERING: "an answer is being written"}


def busy_words(engine: EngineService) -> str:
    """What the engine is doing, as part of a sentence; empty where it waits."""
    states = (engine.state, *(model.state for model in engine.loaded()))
    return next((words for state in states if (words := _BUSY.get(state.status))), "")


def unload_all(engine: EngineService) -> None:
    """Unload every model, and wait until its worker is gone; each loads again with the next message to it."""
    loaded = engine.loaded()
    for model in loaded:
        engine.unload(model.state.model_key)
    pids = [model.pid for model in loaded if model.pid is not None]
    deadline_s = time.monotonic() + _UNLOAD_S
    while any(psutil.pid_exists(pid) for pid in pids) and time.monotonic() < deadline_s:
        time.sleep(_WAIT_S)
