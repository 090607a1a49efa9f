"""What smaller files lose: variants measured against a reference, one after the other, and kept."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from localai_app import errors
from localai_app.compare.loss import LossModel, LossResult, TextSource, figures_of
from localai_app.compare.provenance import default_reference
from localai_app.engine.protocol import Event as WorkerEvent
from localai_app.engine.protocol import LossProgressed, LossScored, ScoreLoss
from localai_app.engine.scoring import ScoredModel
from localai_app.errors import AppError
from localai_app.services.compare.file_hashes import FileHashes
from localai_app.services.compare.loss_state import LossFailure, LossState, LossStatus
from localai_app.services.compare.loss_texts import MAX_TEXT_BYTES, bundled_text
from localai_app.services.compare.model_files import ModelFamily, families_of, headers_of, provenance_of
from localai_app.services.compare.requantizing import QuantizePlan, Requantizing
from localai_app.services.compare.score_plan import ScorePlanner
from localai_app.services.compare.worker_errand import WorkerErrand
from localai_app.services.engine_service import EngineService
from localai_app.services.events import EventBus, LossChanged
from localai_app.services.library_service import LibraryService
from localai_app.services.quiet_engine import busy_words, unload_all
from localai_app.services.settings_service import SettingsService
from localai_app.services.views import InstalledModel
from localai_app.services.work_thread import WorkThread
from localai_app.store.prompt_sets import LossStore

log = logging.getLogger(__name__)

CTX = 512
MAX_TOKENS = 8192
"""Half of them are scored, which leaves a mean divergence with an error of a few percent."""
_RETRIED = (errors.ENGINE_OUT_OF_MEMORY, errors.MODEL_LOAD_FAILED, errors.ENGINE_CRASHED)


@dataclass(frozen=True, slots=True)
class LossParts:
    """What measuring needs of the program. `worker`: what makes the command of a worker, and the folder in which it starts."""

    library: LibraryService
    engine: EngineService
    planner: ScorePlanner
    hashes: FileHashes
    store: LossStore
    worker: tuple[Callable[[], Sequence[str]], Path]
    settings: SettingsService
    processor: Callable[[], str]
    """What the processor is called; may take a moment."""
    other_work: Callable[[], str] = str
    """What else needs the computer for itself now, as part of a sentence; empty where nothing does."""


@dataclass(frozen=True, slots=True)
class _Wish:
    reference: InstalledModel
    variants: tuple[InstalledModel, ...]
    text: TextSource
    ctx: int = CTX
    max_tokens: int = MAX_TOKENS


class LossService:
    """Measures in a thread of its own; what takes long says so. LossChanged tells of progress, of results and of the end.

    Each pair has a worker of its own, which holds both models: a file that ends its worker cannot take the others with it, and
    the reference's pages are still in memory when it is read again. What is loaded for chats is unloaded first.
    """

    def __init__(self, events: EventBus, parts: LossParts, clock: Callable[[], float] = time.time) -> None:
        self._events = events
        self._parts = parts
        self._clock = clock
        self._lock = threading.Lock()
        self._state = LossState()
        self._errand: WorkerErrand | None = None
        self._thread = WorkThread("losses")
        self._started_s = 0.0
        self.requantizing = Requantizing(parts.library, parts.worker, parts.settings, self._tell)
        """Makes smaller files; LossChanged tells of its state as well."""

    @property
    def state(self) -> LossState:
        """What is measured now, or how the last measurement ended."""
        return self._state

    def texts(self) -> tuple[TextSource, ...]:
        """The texts that come with the program; `loss_texts.text_of_file` reads the user's own."""
        return (bundled_text(),)

    def families(self) -> tuple[ModelFamily, ...]:
        """The models of which several variants are installed; reads every header, which takes a while."""
        return families_of(self._parts.library.models())

    def default_reference(self, keys: Sequence[str]) -> str:
        """The key of the file that is nearest to the original; AppError where a header cannot be read. Reads headers."""
        models = [self._parts.library.get(key) for key in keys]
        return default_reference([provenance_of(model, headers_of(model)) for model in models])

    def start(
        self, reference_key: str, variant_keys: Sequence[str], text: TextSource | None = None, *, ctx: int = CTX,
        max_tokens: int = MAX_TOKENS,
    ) -> None:
        """Measure variants against a reference on a text (None: the built-in one).

        AppError where it cannot begin; what goes wrong later is in the state.
        """
        wish = replace(
            _wish_of(self._parts.library, reference_key, variant_keys, text or bundled_text()), ctx=max(1, ctx),
            max_tokens=max(1, max_tokens))
        busy = busy_words(self._parts.engine) or self._parts.other_work()
        if busy:
            raise AppError(errors.LOSS_BUSY, what=busy)
        with self._lock:
            if self._state.is_running:
                raise AppError(errors.LOSS_BUSY, what="another measurement runs")
            self._thread.prepare()
            self._started_s = time.monotonic()
            self._state = LossState(
                LossStatus.LOADING, wish.reference.key, tuple(variant.key for variant in wish.variants),
                wish.variants[0].key, wish.text.name)
            self._thread.begin(lambda: self._work(wish))
        self._tell()

    def stop(self) -> None:
        """End the running measurement now; variants that are complete are kept."""
        self._thread.ask_to_stop()
        errand = self._errand
        if errand is not None:
            errand.stop()

    def wait(self, timeout_s: float) -> bool:
        """Wait until nothing is measured; false after `timeout_s`."""
        self._thread.wait(timeout_s)
        return not self._state.is_running

    def results(self, model_name: str | None = None) -> tuple[LossResult, ...]:
        """Results that are kept, newest first, of the variants of one model or of all. AppError if they cannot be read."""
        found = []
        for row in self._parts.store.list():
            try:
                result = msgspec.json.decode(row.json, type=LossResult)
            except msgspec.MsgspecError as error:
                log.warning("loss %d in the store cannot be read: %s", row.id, error)
                continue
            if model_name is None or model_name in (result.reference.name, result.variant.name):
                found.append(msgspec.structs.replace(result, id=row.id, measured_s=row.measured_s))
        return tuple(found)

    def forget(self, loss_id: int) -> None:
        """Forget one result."""
        self._parts.store.remove(loss_id)
        self._tell()

    def quantize(self, model_key: str, label: str) -> QuantizePlan:
        """Begin to make a smaller file of an installed model; AppError where it cannot begin. Reads headers."""
        return self.requantizing.start(model_key, label)

    def close(self) -> None:
        """Stop everything and wait for the workers' ends."""
        self.stop()
        self.requantizing.close()
        self._thread.wait()

    def _work(self, wish: _Wish) -> None:
        try:
            unload_all(self._parts.engine)
            for place, variant in enumerate(wish.variants):
                if self._thread.is_stopped:
                    break
                self._measure(wish, place, variant)
        except Exception as error:
            log.exception("measuring losses failed unexpectedly")
            cause = f"there was an internal error ({type(error).__name__})"
            self._fail(wish.variants[-1].key, AppError(errors.ENGINE_CRASHED, cause=cause, detail=repr(error)))
        state = self._state
        if self._thread.is_stopped:
            self._show(replace(state, status=LossStatus.STOPPED, left_s=0.0))
        elif state.results:
            self._show(replace(state, status=LossStatus.DONE, fraction=1.0, left_s=0.0))
        else:
            self._show(replace(state, status=LossStatus.FAILED, left_s=0.0, error=state.failures[-1].error))

    def _measure(self, wish: _Wish, place: int, variant: InstalledModel) -> None:
        """One variant; what goes wrong with it is kept, and the others go on."""
        self._show(replace(
            self._state, status=LossStatus.LOADING, variant_key=variant.key, fraction=place / len(wish.variants)))
        try:
            result = self._scored(wish, place, variant)
        except AppError as error:
            log.info("%s was not measured: %s (%s)", variant.key, error.message, error.detail)
            self._fail(variant.key, error)
            return
        if result is not None:
            self._parts.store.add(msgspec.json.encode(result).decode())
            self._show(replace(self._state, results=(*self._state.results, result)))

    def _scored(self, wish: _Wish, place: int, variant: InstalledModel) -> LossResult | None:
        """Its result; None where it was stopped. AppError for everything that goes wrong."""
        started_s = time.monotonic()
        attempts = self._parts.planner.attempts(wish.reference.key, variant.key, wish.ctx)
        for number, (reference_options, variant_options) in enumerate(attempts, 1):
            command = ScoreLoss(
                id=1, reference=reference_options, variant=variant_options, text=wish.text.text, ctx=wish.ctx,
                max_tokens=wish.max_tokens)
            make_command, folder = self._parts.worker
            folder.mkdir(parents=True, exist_ok=True)
            self._errand = errand = WorkerErrand(
                make_command(), folder, lambda event: self._on_progress(event, place, len(wish.variants)))
            try:
                scored = None if self._thread.is_stopped else errand.run(command, LossScored)
            except AppError as error:
                if error.spec not in _RETRIED or number == len(attempts):
                    raise
                log.info("%s is measured with fewer layers on GPUs: %s", variant.key, error.message)
                continue
            finally:
                self._errand = None
            if scored is None or scored.sums is None:
                return None
            return self._result(wish, variant, scored, (errand.engine_build, time.monotonic() - started_s))
        return None

    def _result(
        self, wish: _Wish, variant: InstalledModel, scored: LossScored, run: tuple[str, float],
    ) -> LossResult:
        assert scored.sums is not None
        figures = figures_of(scored.sums)
        hashes = [
            self._parts.hashes.of_all(model.paths, lambda: self._thread.is_stopped) for model in (wish.reference, variant)]
        return LossResult(
            **{name: getattr(figures, name) for name in figures.__struct_fields__},
            measured_s=self._clock(), reference=_model(wish.reference, scored.reference, hashes[0]),
            variant=_model(variant, scored.variant, hashes[1]), text_name=wish.text.name, text_sha256=wish.text.sha256,
            n_tokens=scored.n_tokens, ctx=scored.ctx, engine_build=run[0], threads=scored.threads,
            processor=self._parts.processor(), seconds=run[1])

    def _on_progress(self, event: WorkerEvent, place: int, n_variants: int) -> None:
        if not isinstance(event, LossProgressed):
            return
        share = event.done / event.total if event.total else 0.0
        fraction = (place + share) / n_variants
        elapsed_s = time.monotonic() - self._started_s
        self._show(replace(
            self._state, status=LossStatus.SCORING if event.total else LossStatus.LOADING, fraction=fraction,
            left_s=elapsed_s * (1 - fraction) / fraction if fraction > 0 else None))

    def _fail(self, variant_key: str, error: AppError) -> None:
        self._show(replace(self._state, failures=(*self._state.failures, LossFailure(variant_key, error))))

    def _show(self, state: LossState) -> None:
        self._state = state
        self._tell()

    def _tell(self) -> None:
        self._events.publish(LossChanged())


def _wish_of(library: LibraryService, reference_key: str, variant_keys: Sequence[str], text: TextSource) -> _Wish:
    """What is to be measured, with the usual limits; AppError where that makes no sense."""
    reference = library.get(reference_key)
    variants = {model.key: model for model in map(library.get, variant_keys) if model.key != reference.key}
    if not variants:
        raise AppError(
            errors.LOSS_REFUSED, reference=reference.label or reference.name, variant="a variant",
            reason="no file but the reference itself was named")
    for model in (reference, *variants.values()):
        if not model.is_complete:
            raise AppError(
                errors.LOSS_REFUSED, reference=reference.label or reference.name, variant=model.label or model.name,
                reason=f"a part of {model.name} is missing")
    # What does not fit a line of the protocol is more than is read in any case.
    cut = text.text.encode("utf-8", "replace")[:MAX_TEXT_BYTES].decode("utf-8", "ignore")
    return _Wish(reference, tuple(variants.values()), TextSource(name=text.name, text=cut))


def _model(model: InstalledModel, scored: ScoredModel | None, sha256: tuple[str, ...]) -> LossModel:
    plain = LossModel(key=model.key, name=model.name, label=model.label, size_bytes=model.size_bytes, sha256=sha256)
    if scored is None:
        return plain
    return msgspec.structs.replace(
        plain, description=scored.description, gpu_layers=scored.gpu_layers,
        tps=scored.generated_tokens / scored.generated_s if scored.generated_s > 0 else 0.0,
        prompt_tps=scored.read_tokens / scored.read_s if scored.read_s > 0 else 0.0)
