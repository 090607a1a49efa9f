"""The worker's main loop: one request after the other, each answered, whatever goes wrong with it."""

from __future__ import annotations

import queue
import time
import traceback
from collections.abc import Callable
from typing import NoReturn

from localai_app.engine.failure import RequestRefusedError
from localai_app.engine.protocol import (
    Benchmark,
    Benchmarked,
    Chat,
    Complete,
    ContextCut,
    CountTokens,
    DevicesListed,
    Event,
    Finished,
    FinishReason,
    GenerationStats,
    ListDevices,
    Load,
    LoadProgressed,
    Plan,
    Quantize,
    RenderTemplate,
    RestoreState,
    SaveState,
    ScoreLoss,
    SelfTest,
    StateRestored,
    StateSaved,
    Tune,
    Tuned,
)
from localai_app.engine.worker.answer import AnswerLoop
from localai_app.engine.worker.backend import Backend
from localai_app.engine.worker.benchmark import BenchmarkLoop
from localai_app.engine.worker.channel import EventSender, Request
from localai_app.engine.worker.context_cutter import ContextCutter
from localai_app.engine.worker.stop_flag import StopFlags
from localai_app.engine.worker.template_choice import tried_template
from localai_app.engine.worker.tuning import TuningLoop
from localai_app.errors import ENGINE_CRASHED, ENGINE_OUT_OF_MEMORY

_LOAD_PROGRESS_INTERVAL_S = 0.1
SingleAnswer = ListDevices | SelfTest | Plan | SaveState | RestoreState | CountTokens


class Session:
    """Takes commands in the order of their arrival and runs each to its end."""

    def __init__(
        self,
        backend: Backend,
        commands: queue.SimpleQueue[tuple[float, Request]],
        sender: EventSender,
        stop_flags: StopFlags,
    ) -> None:
        self._backend = backend
        self._commands = commands
        self._sender = sender
        self._stop_flags = stop_flags
        self._cutter = ContextCutter(backend)

    def run(self) -> NoReturn:
        """Serve until the process ends; the command reader ends it."""
        while True:
            arrived_s, command = self._commands.get()
            self._stop_flags.begin(command.id)
            try:
                self._serve(command, arrived_s)
            except RequestRefusedError as refused:
                self._sender.send(refused.as_event(command.id))
            except MemoryError:
                self._sender.send(RequestRefusedError(ENGINE_OUT_OF_MEMORY).as_event(command.id))
            except Exception as error:  # noqa: BLE001 - the worker lives on, the log has the traceback
                traceback.print_exc()
                refusal = RequestRefusedError(ENGINE_CRASHED, cause=f"there was an internal error ({type(error).__name__})")
                self._sender.send(refusal.as_event(command.id))
            finally:
                self._stop_flags.end(command.id)

    def _serve(self, command: Request, arrived_s: float) -> None:
        match command:
            case Load():
                self._cutter.forget()
                on_progress = self._progress_reporter(command.id)
                on_progress(0.0)
                self._sender.send(self._backend.load(command.id, command.options, on_progress))
            case RenderTemplate():
                self._sender.send(tried_template(command))
            case Benchmark() | Tune():
                self._sender.send(self._measured(command))
            case ScoreLoss() | Quantize():
                self._cutter.forget()
                self._sender.send(self._backend.work_on_files(command, self._sender))
            case Chat() | Complete() if self._stop_flags.is_set:
                self._sender.send(Finished(id=command.id, reason=FinishReason.CANCELLED, stats=GenerationStats()))
            case Chat():
                source = self._backend.prepare_chat(self._cut_to_context(command))
                AnswerLoop(command.id, source, command.sampling, self._sender, self._stop_flags).run(arrived_s)
            case Complete():
                source = self._backend.prepare_completion(command.prompt, command.sampling)
                AnswerLoop(command.id, source, command.sampling, self._sender, self._stop_flags).run(arrived_s)
            case _:
                self._sender.send(self._answered(command))

    def _answered(self, command: SingleAnswer) -> Event:
        """The one event that answers a question."""
        match command:
            case ListDevices():
                return DevicesListed(id=command.id, devices=self._backend.devices())
            case SelfTest():
                return self._backend.self_test(command.id, command.model_path, on_gpu=command.on_gpu)
            case Plan():
                return self._backend.plan(command.id, command.header_path, command.options)
            case SaveState():
                n_tokens, n_bytes = self._backend.save_state(command.conversation, command.path)
                return StateSaved(id=command.id, n_tokens=n_tokens, n_bytes=n_bytes)
            case RestoreState():
                return StateRestored(id=command.id, n_tokens=self._backend.restore_state(command.conversation, command.path))
            case CountTokens():
                return self._cutter.count(command)

    def _measured(self, command: Benchmark | Tune) -> Benchmarked | Tuned:
        if isinstance(command, Tune):
            return TuningLoop(command, self._backend.prepare_tuning(), self._stop_flags).run()
        with self._backend.prepare_benchmark(command.threads) as target:
            return BenchmarkLoop(command, target, self._sender, self._stop_flags).run()

    def _cut_to_context(self, chat: Chat) -> Chat:
        """The chat as its policy allows it to be sent; what is left out is said first."""
        chat, cut = self._cutter.cut(chat)
        if cut:
            self._sender.send(ContextCut(id=chat.id, cut=cut))
        return chat

    def _progress_reporter(self, request_id: int) -> Callable[[float], None]:
        """Passes on the first and the last report, and in between one every 100 ms."""
        last_s = 0.0

        def report(fraction: float) -> None:
            nonlocal last_s
            now_s = time.monotonic()
            if fraction >= 1.0 or now_s - last_s >= _LOAD_PROGRESS_INTERVAL_S:
                last_s = now_s
                self._sender.send(LoadProgressed(id=request_id, fraction=min(1.0, max(0.0, fraction))))

        return report
