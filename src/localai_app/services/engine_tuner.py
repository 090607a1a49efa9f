"""Asks a loaded model to find out how it runs fastest."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from localai_app.engine import protocol
from localai_app.services.engine_slot import EngineSlot


class EngineTuner:
    """Sends Tune to the workers of the engine."""

    def __init__(self, slot_of: Callable[[str], EngineSlot], ids: itertools.count[int]) -> None:
        self._slot_of = slot_of
        self._ids = ids

    def tune(
        self, model_key: str, threads: tuple[int, ...], ubatches: tuple[int, ...], budget_s: float,
        on_tuned: Callable[[protocol.Tuned], None],
    ) -> None:
        """Have a model measured, see Tune; `on_tuned` is called in another thread, unless the model is not ready or goes.

        An answer that is asked for meanwhile ends it. AppError where no model is loaded.
        """
        command = protocol.Tune(id=next(self._ids), threads=threads, ubatches=ubatches, budget_s=budget_s)
        self._slot_of(model_key).ask_aside(command, on_tuned)
