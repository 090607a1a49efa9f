"""The loaded models: a worker process each, one of them in use, and the answers they give."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from localai_app import errors
from localai_app.engine import protocol
from localai_app.errors import AppError
from localai_app.fit.result import Request
from localai_app.services.chat_extras import NO_EXTRAS, ChatExtras
from localai_app.services.engine_control import EngineControl, LoadWish
from localai_app.services.engine_slot import EngineSlot, WorkerProgram
from localai_app.services.engine_tracker import AnswerSink
from localai_app.services.engine_tuner import EngineTuner
from localai_app.services.events import EngineChanged, EventBus, UnloadReason
from localai_app.services.views import EngineState, EngineStatus, LoadedModel

NOTHING = EngineState(EngineStatus.NONE)


class EngineService:
    """Owns the workers. Public methods return at once; what happens next arrives as events.

    One model is in use: `state`, `pid`, and answers without a model's key are its. Models that were loaded earlier may stay
    beside it.
    """

    def __init__(self, events: EventBus, program: WorkerProgram, control: EngineControl) -> None:
        self._events = events
        self._ids = program.ids
        self._program = program
        self._control = control
        self._lock = threading.Lock()
        self._slots: dict[str, EngineSlot] = {}
        self._in_use: EngineSlot | None = None
        self.tuner = EngineTuner(self._answering_slot, program.ids)

    @property
    def state(self) -> EngineState:
        """What the model in use is doing now."""
        slot = self._in_use
        return slot.state if slot is not None else NOTHING

    @property
    def pid(self) -> int | None:
        """Process id of the worker of the model in use, if one runs."""
        slot = self._in_use
        return slot.pid if slot is not None else None

    def loaded(self) -> tuple[LoadedModel, ...]:
        """Every model that can answer, the one used last first."""
        with self._lock:
            views = [slot.view for slot in self._slots.values() if slot.state.is_alive]
        return tuple(sorted(views, key=lambda view: -view.used_s))

    def find(self, model_key: str) -> LoadedModel | None:
        """A model that is loaded, being loaded, or failed and still in use; None for any other."""
        with self._lock:
            slot = self._slot(model_key)
        return slot.view if slot is not None else None

    def use(self, model_key: str) -> bool:
        """Let a model that can answer be the one in use; false, and nothing happens, where it has to be loaded first."""
        with self._lock:
            slot = self._slot(model_key)
            if slot is None or not slot.state.is_alive:
                return False
            is_other, self._in_use = slot is not self._in_use, slot
            ended = self._take_out(lambda other: other is not slot and not other.state.is_alive)
        slot.touch()
        if is_other:
            self._events.publish(EngineChanged())
        self._end(ended, UnloadReason.WISH)
        return True

    def load(
        self, model_key: str, request: Request | None = None, *, anyway: bool = False, keep_others: bool | None = None,
        make_room: bool = False, safe: bool = False,
    ) -> None:
        """Load a model, as is remembered for it or as `request` says, and use it; it is loaded anew if it is there already.

        `anyway`: even where it is too large or its header is damaged. `keep_others`: whether models that can answer stay
        beside it whatever happens; None: as far as the settings and the memory allow. `make_room`: the user agreed that
        they leave, also in the middle of an answer. `safe`: with safe settings. What goes wrong, and what has to be asked
        first, arrives as EngineFailed.
        """
        wish = LoadWish(request, anyway, keep_others, make_room, safe)
        keeps = keep_others if keep_others is not None else self._control.keeps_others
        with self._lock:
            slot = self._slot(model_key)
            if slot is None:
                slot = self._slots[model_key] = EngineSlot(model_key, self._events, self._program, self._control.submit)
            self._in_use = chosen = slot
            generation, announce = chosen.begin_load()
            ended = self._take_out(lambda other: other is not chosen and not (keeps and other.state.is_alive))
        announce()
        self._end(ended, UnloadReason.WISH)
        self._control.load(
            chosen, generation, wish, lambda: [model for model in self.loaded() if model.key != chosen.state.model_key],
            self._unload)

    def unload(self, model_key: str | None = None) -> None:
        """End the worker of a model, of the one in use if none is named; its memory returns for certain.

        The model that was used last of those that are left is in use then.
        """
        self._unload(model_key, UnloadReason.WISH)

    def unload_idle(self, unused_s: float) -> None:
        """Unload the models that nobody asked for so long."""
        for model in self.loaded():
            self._unload(model.key, UnloadReason.IDLE, unused_s)

    def _unload(self, model_key: str | None, reason: UnloadReason, unused_s: float | None = None) -> None:
        with self._lock:
            unwanted = self._slot(model_key) if model_key is not None else self._in_use
            ended = self._take_out(lambda slot: slot is unwanted, unused_s)
        if unwanted is not None and not ended:
            return
        # Its end is told while it is still the one in use, so that whoever waits for it hears of it.
        self._end(ended, reason)
        with self._lock:
            if self._in_use is unwanted:
                alive = [slot for slot in self._slots.values() if slot.state.is_alive]
                self._in_use = max(alive, key=lambda slot: slot.view.used_s, default=None)
        self._events.publish(EngineChanged())

    def reload(self) -> None:
        """Load again the model that was loaded last."""
        model_key = self.state.model_key
        if not model_key:
            raise AppError(errors.NO_MODEL_LOADED)
        self.load(model_key)

    def close(self) -> None:
        """End all workers and wait for them, at the end of the program."""
        with self._lock:
            ended = self._take_out(lambda _slot: True)
            self._in_use = None
        for slot, _name, announce in ended:
            announce()
            self._control.submit(slot.stop_worker)
        self._control.close()

    def chat(
        self, messages: Sequence[protocol.ChatMessage], sampling: protocol.Sampling, sink: AnswerSink, *,
        extras: ChatExtras = NO_EXTRAS, model_key: str = "",
    ) -> int:
        """Answer a conversation, going on from `extras.prefill` if given; returns the id for `stop`.

        `model_key`: which of the loaded models answers; empty: the one in use. AppError if it is not ready, or if the
        conversation is longer than anything that can be sent to one.
        """
        request_id = next(self._ids)
        self._answering_slot(model_key).ask(request_id, extras.command(request_id, messages, sampling), sink)
        return request_id

    def count(
        self, messages: Sequence[protocol.ChatMessage], sampling: protocol.Sampling,
        on_counted: Callable[[protocol.TokensCounted], None], *, extras: ChatExtras = NO_EXTRAS,
    ) -> None:
        """Have the model in use count a conversation; `on_counted` is called in another thread, unless it is not ready or
        another one is to be counted meanwhile. AppError as for `chat`.
        """
        slot, request_id = self._answering_slot(""), next(self._ids)
        slot.ask_aside(protocol.CountTokens(id=request_id, chat=extras.command(request_id, messages, sampling)), on_counted)

    def complete(self, prompt: str, sampling: protocol.Sampling, sink: AnswerSink, *, model_key: str = "") -> int:
        """Continue a text; returns the id for `stop`. `model_key` and AppError as for `chat`."""
        request_id = next(self._ids)
        command = protocol.Complete(id=request_id, prompt=prompt, sampling=sampling)
        self._answering_slot(model_key).ask(request_id, command, sink)
        return request_id

    def stop(self, request_id: int) -> None:
        """Ask a running answer to end; its sink hears `cancelled`."""
        with self._lock:
            slots = tuple(self._slots.values())
        for slot in slots:
            if slot.stop_answer(request_id):
                return

    def _slot(self, model_key: str) -> EngineSlot | None:
        """The place of a model, by the key that it was asked for with or by its own; with the lock held."""
        known = self._slots.get(model_key)
        return known or next((slot for slot in self._slots.values() if slot.state.model_key == model_key), None)

    def _answering_slot(self, model_key: str) -> EngineSlot:
        with self._lock:
            slot = self._slot(model_key) if model_key else self._in_use
        if slot is None:
            raise AppError(errors.NO_MODEL_LOADED)
        return slot

    def _take_out(
        self, is_over: Callable[[EngineSlot], bool], unused_s: float | None = None,
    ) -> list[tuple[EngineSlot, str, Callable[[], None]]]:
        """Forget slots, with the lock held; each comes with its model's name, empty where it was not loaded,
        and with what tells of its end.

        `unused_s`: only those that nobody asked for so long.
        """
        ended = []
        for slot in [slot for slot in self._slots.values() if is_over(slot)]:
            name = slot.state.model_name if slot.state.is_alive else ""
            announce = slot.leave(unused_s)
            if announce is not None:
                del self._slots[slot.model_key]
                ended.append((slot, name, announce))
        return ended

    def _end(self, ended: Sequence[tuple[EngineSlot, str, Callable[[], None]]], reason: UnloadReason) -> None:
        """Tell of slots that were taken out, and end their workers."""
        for slot, name, announce in ended:
            announce()
            self._control.retire(slot, name, reason)


def worker_pids(engine: EngineService) -> dict[str, int]:
    """Process id of the worker of every model that is loaded or being loaded, by the model's key."""
    views = {model.key: model for model in engine.loaded()}
    in_use = engine.find(engine.state.model_key)
    if in_use is not None:
        views[in_use.key] = in_use
    return {key: model.pid for key, model in views.items() if model.pid is not None}
