"""Where workers are stopped and started: one step after the other, in a thread of its own."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from localai_app.errors import AppError
from localai_app.fit.result import Request
from localai_app.services.engine_room import EngineRoom, PlanInsteadOf
from localai_app.services.engine_slot import EngineSlot
from localai_app.services.events import EventBus, ModelUnloaded, UnloadReason
from localai_app.services.hardware_service import FreeMemory
from localai_app.services.load_way import LoadPlan
from localai_app.services.views import LoadedModel

log = logging.getLogger(__name__)


class MakePlan(Protocol):
    """Decides how a model is loaded; AppError where it should not be, unless `anyway`."""

    def __call__(
        self, model_key: str, request: Request | None = None, *, anyway: bool = False,
        instead_of: Sequence[LoadedModel] = (),
    ) -> LoadPlan:
        """The plan of a load; what the models of `instead_of` hold counts as free."""


@dataclass(frozen=True, slots=True)
class LoadWish:
    """How a model is wished to be loaded; as EngineService.load."""

    request: Request | None = None
    anyway: bool = False
    keep_others: bool | None = None
    make_room: bool = False
    is_safe: bool = False


class EngineControl:
    """Its methods return at once. `room` None: models never make room for each other by themselves."""

    def __init__(
        self, events: EventBus, plan: MakePlan, room: EngineRoom | None, free_now: Callable[[], FreeMemory] | None,
    ) -> None:
        self._events = events
        self._plan = plan
        self._room = room
        self._free_now = free_now
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine-control")

    @property
    def keeps_others(self) -> bool:
        """Whether loaded models may stay beside a new one where nobody says so."""
        return self._room is not None

    def submit(self, step: Callable[[], None]) -> None:
        """Run a step that may wait for a process."""
        # After the end of the program's services there is no worker left for whom a step could matter.
        with contextlib.suppress(RuntimeError):
            self._thread.submit(_logged, step)

    def close(self) -> None:
        """Wait for the last step."""
        self._thread.shutdown(wait=True)

    def load(
        self, slot: EngineSlot, generation: int, wish: LoadWish, others: Callable[[], Sequence[LoadedModel]],
        unload: Callable[[str, UnloadReason], None],
    ) -> None:
        """Load a model after what has to leave for it has left. `unload` takes one out and ends it with `retire`."""
        def plan(instead_of: Sequence[LoadedModel] = ()) -> LoadPlan:
            return self._plan(slot.model_key, wish.request, anyway=wish.anyway, instead_of=instead_of)

        def begin() -> None:
            slot.stop_worker()
            present = others() if wish.keep_others is None else ()
            try:
                leaving = self._leaving(plan, present, wish)
            except AppError as error:
                slot.refuse(generation, error)
                return
            for model in leaving:
                unload(model.key, UnloadReason.ROOM)
            # Behind the ends of those that leave.
            self.submit(lambda: slot.load(generation, plan, is_safe=wish.is_safe))

        self.submit(begin)

    def retire(self, slot: EngineSlot, name: str, reason: UnloadReason) -> None:
        """End a worker and measure what its end gave back; `name` is empty where it had loaded nothing."""
        self.submit(lambda: self._retire(slot, name, reason))

    def _leaving(self, plan: PlanInsteadOf, present: Sequence[LoadedModel], wish: LoadWish) -> tuple[LoadedModel, ...]:
        if self._room is None or not present:
            return ()
        try:
            return self._room.leaving(plan, present, may_ask=not wish.make_room)
        except AppError:
            raise
        except Exception:
            # The plan of the load itself runs into it as well, and tells of it.
            log.exception("it could not be told which models have to leave")
            return ()

    def _retire(self, slot: EngineSlot, name: str, reason: UnloadReason) -> None:
        if not name or slot.pid is None or self._free_now is None:
            slot.stop_worker()
            return
        before = self._free_now()
        slot.stop_worker()
        after = self._free_now()
        self._events.publish(ModelUnloaded(
            slot.model_key, name, reason, max(0, after.main_bytes - before.main_bytes),
            max(0, after.gpu_bytes - before.gpu_bytes)))


def _logged(step: Callable[[], None]) -> None:
    """Run a step; nobody asks the executor how it ended, so what goes wrong unexpectedly is told here."""
    try:
        step()
    except Exception:
        log.exception("a step of the engine's control failed")
