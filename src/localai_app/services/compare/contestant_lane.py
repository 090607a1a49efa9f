"""One contestant on its way through the matrix: loaded, asked its cells, loaded once more where its worker died."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from localai_app.compare.checking import check_answer
from localai_app.compare.comparison import AnswerRecord, CellKey, Comparison, ContestantRun
from localai_app.engine.conversation import FinishReason
from localai_app.engine.launch import CommandSource
from localai_app.engine.protocol import Finished, LoadOptions, TextGenerated
from localai_app.errors import AppError
from localai_app.hardware.energy import Energy
from localai_app.services.answer_meter import AnswerMeter
from localai_app.services.compare.cell_request import CellRequests
from localai_app.services.compare.comparison_keeper import ComparisonKeeper
from localai_app.services.compare.contestant_plans import compared_options
from localai_app.services.compare.contestant_worker import ContestantWorker, LoadFacts, StoppedError, WorkerEndedError
from localai_app.services.compare.running_state import ContestantPhase, RunningProgress
from localai_app.services.compare.worker_memory import gpu_bytes
from localai_app.services.events import ComparisonProgressed, EventBus
from localai_app.services.load_ladder import failure_of_error, failure_of_outcome
from localai_app.services.load_way import LoadPlan, LoadWay
from localai_app.services.measuring import LEAST_TOKENS
from localai_app.services.safe_setups import SafeSetUps
from localai_app.services.thinking import AnswerText

log = logging.getLogger(__name__)

RELOADS = 1
"""How often a worker that died is started again; what kills it twice would kill it again."""


@dataclass(frozen=True, slots=True)
class LaneParts:
    """What all lanes of a comparison share."""

    events: EventBus
    keeper: ComparisonKeeper
    progress: RunningProgress
    requests: CellRequests
    meter: AnswerMeter
    command: CommandSource
    folder: Path
    set_ups: SafeSetUps | None = None
    """What is remembered of loads that failed as planned."""


class ContestantLane:
    """Used in one thread at a time, which it tells by StoppedError that it was stopped; `stop` may come from any thread."""

    def __init__(
        self, parts: LaneParts, comparison: Comparison, place: int, plan: LoadPlan | None, cells: Sequence[CellKey],
        sampled_peak: Callable[[int | None], int],
    ) -> None:
        """`plan` None: it cannot be loaded, and can only `fail`. `cells`: those that are left.

        `sampled_peak`: most main memory that was seen of a process, by its id.
        """
        self.place = place
        self.is_shared = False
        """Whether others compute at the same time."""
        self.text = AnswerText()
        """Of the cell that is being answered, so far."""
        self._parts = parts
        self._comparison = comparison
        self._plan = plan
        self._sampled_peak = sampled_peak
        self._cells = deque(cells)
        self._worker: ContestantWorker | None = None
        self._facts: LoadFacts | None = None
        self._run = ContestantRun(contestant=place)
        self._tps: list[float] = []
        self._reloads_left = RELOADS
        self._gpu_bytes = 0
        self._is_stopped = False

    @property
    def pid(self) -> int | None:
        """Of its worker, while one runs."""
        worker = self._worker
        return worker.pid if worker is not None else None

    @property
    def is_loaded(self) -> bool:
        """Whether it can answer."""
        return self._facts is not None

    @property
    def mean_tps(self) -> float | None:
        """Of its answers in this pass that are long enough to tell; None where there is none."""
        return sum(self._tps) / len(self._tps) if self._tps else None

    def stop(self) -> None:
        """End soon; what is finished is kept."""
        self._is_stopped = True
        worker = self._worker
        if worker is not None:
            worker.stop()

    def load(self) -> None:
        """Start its worker; where that fails, all its cells fail with the reason."""
        self._parts.progress.set_phase(self.place, ContestantPhase.LOADING)
        try:
            facts = self._loaded()
        except AppError as error:
            self.fail(f"{error.message} {error.action}")
            return
        self._keep_load(facts)
        self._parts.progress.set_phase(self.place, ContestantPhase.WAITING)

    def answer_all(self, before_last: Callable[[], bool] = lambda: False) -> None:
        """Ask every cell that is left and keep each as it is finished.

        `before_last`: called as the last one begins; whether it began something that takes energy.
        """
        if self._facts is None:
            return
        self._parts.progress.set_phase(self.place, ContestantPhase.ANSWERING)
        while self._cells:
            key = self._cells.popleft()
            is_metered = not self.is_shared and (bool(self._cells) or not before_last())
            try:
                record = self._answer(key, is_metered=is_metered)
            except WorkerEndedError as ended:
                self._cells.appendleft(key)
                if not self._revive(ended):
                    return
                continue
            self._keep(record)
        self._parts.progress.set_phase(self.place, ContestantPhase.DONE)

    def fail(self, reason: str) -> None:
        """Every cell that is left fails with a reason in words."""
        log.info("contestant %d of comparison %d fails: %s", self.place, self._comparison.id, reason)
        self._run = msgspec.structs.replace(self._run, error=reason)
        self._parts.keeper.set_run(self._comparison.id, self._run)
        self._parts.progress.set_phase(self.place, ContestantPhase.FAILED)
        while self._cells:
            key = self._cells.popleft()
            self._keep(AnswerRecord(contestant=key.contestant, prompt=key.prompt, repeat=key.repeat, error=reason))

    def close(self) -> None:
        """End the worker, wait for it, and keep what it held at most."""
        worker, self._worker, self._facts = self._worker, None, None
        if worker is None:
            return
        pid = worker.pid
        peak_bytes = max(worker.close(), self._sampled_peak(pid)) + self._gpu_bytes
        if peak_bytes > self._run.peak_bytes:
            self._run = msgspec.structs.replace(self._run, peak_bytes=peak_bytes)
            if self._run.engine_build:
                self._parts.keeper.set_run(self._comparison.id, self._run)

    def _loaded(self) -> LoadFacts:
        """As planned, or with the next smaller set-up that works; AppError where none does."""
        assert self._plan is not None
        way = LoadWay(self._plan, self._parts.set_ups, is_safe=False)
        while True:
            try:
                return self._start_worker(way.options)
            except WorkerEndedError as ended:
                is_of_model = self._worker is not None and self._worker.is_ready
                error, failure = ended.error, failure_of_outcome(ended.outcome) if is_of_model else None
            except AppError as refused:
                error, failure = refused, failure_of_error(refused)
            self.close()
            step = way.step_down(failure) if failure is not None else None
            if step is None:
                raise error
            log.info("contestant %d: %s (%s)", self.place, step.sentence, error.detail or error.message)
            self._run = msgspec.structs.replace(self._run, steps=(*self._run.steps, step.sentence))

    def _start_worker(self, planned: LoadOptions) -> LoadFacts:
        schedule = self._comparison.schedule
        options = compared_options(planned, schedule, self.place) if schedule is not None else planned
        self._run = msgspec.structs.replace(self._run, options=shown_options(options))
        worker = self._worker = ContestantWorker(self._parts.command, self._parts.folder)
        if self._is_stopped:
            raise StoppedError
        return worker.load(options, lambda fraction: self._parts.progress.note_load(self.place, fraction))

    def _keep_load(self, facts: LoadFacts) -> None:
        loaded, self._facts = facts.loaded, facts
        self._gpu_bytes = gpu_bytes(loaded.buffers)
        self._run = msgspec.structs.replace(
            self._run, load_s=facts.load_s, engine_build=facts.engine_build, description=loaded.description,
            size_bytes=loaded.model_bytes, ctx=loaded.ctx, threads=loaded.threads, gpu_layers=loaded.gpu_layers,
            n_layer=loaded.n_layer, template=loaded.format.template, error="",
            thinking=self._comparison.spec.contestants[self.place].settings.thinking or loaded.format.default_thinking)
        self._parts.keeper.set_run(self._comparison.id, self._run)
        self._parts.progress.note_loaded(self.place, facts.load_s)

    def _revive(self, ended: WorkerEndedError) -> bool:
        """Load again after the worker's end; false where that was tried already, and the cells that are left have failed."""
        error = ended.error
        log.warning("the worker of contestant %d ended: %s (%s)", self.place, error.message, error.detail)
        self.close()
        if self._reloads_left == 0:
            self.fail(error.message)
            return False
        self._reloads_left -= 1
        self.load()
        if self.is_loaded:
            self._parts.progress.set_phase(self.place, ContestantPhase.ANSWERING)
        return self.is_loaded

    def _answer(self, key: CellKey, *, is_metered: bool) -> AnswerRecord:
        worker, facts, parts = self._worker, self._facts, self._parts
        assert worker is not None
        assert facts is not None
        self.text = AnswerText()
        request = parts.requests.request(self._comparison.spec, key)
        parts.progress.begin_cell(key)
        metered = parts.meter.begin() if is_metered else None
        is_shared, started_s = self.is_shared, time.monotonic()
        blank = AnswerRecord(
            contestant=key.contestant, prompt=key.prompt, repeat=key.repeat, seed=request.sampling.seed, is_shared=is_shared)
        try:
            finished = worker.answer(
                lambda request_id: request.command(request_id, has_template=facts.loaded.has_chat_template),
                lambda event: self._on_text(key, event))
        except AppError as error:
            return msgspec.structs.replace(
                blank, text=self.text.answer, thinking=self.text.thinking.strip(), total_s=time.monotonic() - started_s,
                error=f"{error.message} {error.action}")
        total_s = time.monotonic() - started_s
        energy = parts.meter.energy(metered) if metered is not None else Energy()
        return self._record(blank, finished, total_s, energy)

    def _record(self, blank: AnswerRecord, finished: Finished, total_s: float, energy: Energy) -> AnswerRecord:
        stats, text = finished.stats, self.text.answer + self.text.tool
        is_cut = finished.reason in (FinishReason.LENGTH, FinishReason.CONTEXT)
        return msgspec.structs.replace(
            blank, text=text, thinking=self.text.thinking.strip(), finish_reason=finished.reason.value,
            prompt_tokens=stats.prompt_tokens, tokens=stats.completion_tokens, prompt_tps=stats.prompt_tps, tps=stats.tps,
            ttft_s=stats.ttft_s, total_s=total_s, thinking_s=stats.thinking_s, gpu_j=energy.gpu_j,
            processor_j=energy.processor_j,
            checks=check_answer(self._comparison.spec.prompts[blank.prompt], text, is_cut=is_cut))

    def _on_text(self, key: CellKey, event: TextGenerated) -> None:
        self.text.add(event.channel, event.text, takes_back=event.takes_back)
        self._parts.events.publish(ComparisonProgressed(
            self._comparison.id, key, event.text, event.stats, event.channel, event.takes_back))

    def _keep(self, record: AnswerRecord) -> None:
        """A cell counts as finished once it lies in the store."""
        self._parts.keeper.add_answer(self._comparison.id, record)
        if record.tps > 0 and record.tokens >= LEAST_TOKENS:
            self._tps.append(record.tps)
        self._parts.progress.end_cell(record.key, record.total_s or None)


def shown_options(options: LoadOptions) -> dict[str, Any]:
    """What differs from the defaults, but for the model's path."""
    defaults = LoadOptions(model_path="", ctx=0)
    return {
        name: msgspec.to_builtins(getattr(options, name)) for name in options.__struct_fields__
        if name != "model_path" and getattr(options, name) != getattr(defaults, name)}
