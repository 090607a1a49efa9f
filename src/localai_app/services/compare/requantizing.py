"""Making a smaller file of an installed model, through llama.cpp in a worker of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from localai_app import errors
from localai_app.compare.provenance import ORIGINALS, Provenance, precision_bits
from localai_app.engine.protocol import Event as WorkerEvent
from localai_app.engine.protocol import Quantize, Quantized, QuantizeProgressed
from localai_app.engine.quantizing import (
    FILE_TYPES,
    FROM_BITS_KEY,
    FROM_FILE_KEY,
    FROM_LABEL_KEY,
    NEEDS_IMPORTANCE_MATRIX,
)
from localai_app.errors import AppError
from localai_app.gguf.label import label_of_name
from localai_app.gguf.quant_types import BITS_PER_WEIGHT, QUANT_TYPES_BY_NAME
from localai_app.gguf.reader import read_header_file
from localai_app.services.compare.loss_state import QuantizingState, QuantizingStatus
from localai_app.services.compare.model_files import headers_of, provenance_of
from localai_app.services.compare.unfinished import being_made, sweep_unfinished
from localai_app.services.compare.worker_errand import WorkerErrand
from localai_app.services.library_service import OWN_SOURCE, LibraryService
from localai_app.services.settings_service import SettingsService
from localai_app.services.views import InstalledModel
from localai_app.services.work_thread import WorkThread

log = logging.getLogger(__name__)

_NEARLY_ORIGINAL_BITS = 6.5
"""From Q6_K on, what was lost already is far less than what a smaller quantization loses."""


@dataclass(frozen=True, slots=True)
class QuantizePlan:
    """A file that can be made. `warning`: what speaks against it, a sentence, or empty."""

    model: InstalledModel
    label: str
    target: Path
    source_label: str
    source_bits: float
    """Bits per weight that the source can have kept of the original."""
    warning: str = ""


class Requantizing:
    """Makes one file at a time, in a thread of its own; `on_change` is called after each change of `state`."""

    def __init__(
        self, library: LibraryService, worker: tuple[Callable[[], Sequence[str]], Path], settings: SettingsService,
        on_change: Callable[[], None],
    ) -> None:
        self._library = library
        self._worker = worker
        self._settings = settings
        self._on_change = on_change
        self._lock = threading.Lock()
        self._errand: WorkerErrand | None = None
        self._thread = WorkThread("requantizing")
        self._started_s = 0.0
        self.state = QuantizingState()

    def plan(self, model_key: str, label: str) -> QuantizePlan:
        """What would be made; AppError where it makes no sense or cannot be. Reads headers."""
        model, label = self._library.get(model_key), label.upper()
        name = model.paths[0].name
        if not model.is_complete:
            raise AppError(errors.QUANTIZE_REFUSED, name=name, label=label, reason="a part of it is missing")
        if label in NEEDS_IMPORTANCE_MATRIX:
            raise AppError(
                errors.QUANTIZE_REFUSED, name=name, label=label,
                reason="so few bits need an importance matrix, which is not made here")
        if label not in FILE_TYPES:
            raise AppError(
                errors.QUANTIZE_REFUSED, name=name, label=label, reason=f"the kinds to choose from are {', '.join(FILE_TYPES)}")
        provenance = provenance_of(model, headers_of(model))
        source_label, bits = source_precision(model, provenance)
        if BITS_PER_WEIGHT[label] >= bits:
            raise AppError(
                errors.QUANTIZE_REFUSED, name=name, label=label,
                reason=f"it has no more precision than {source_label} left, and cannot win any back")
        target = self._target(model, source_label, label)
        if target.exists():
            raise AppError(errors.QUANTIZE_REFUSED, name=name, label=label, reason=f"{target.name} is there already")
        return QuantizePlan(
            model, label, target, source_label, precision_bits(provenance), warning_words(source_label, bits, label))

    def start(self, model_key: str, label: str) -> QuantizePlan:
        """Begin; AppError where it cannot begin, what goes wrong later is in the state."""
        plan = self.plan(model_key, label)
        with self._lock:
            if self.state.is_running:
                raise AppError(errors.LOSS_BUSY, what="another file is being made")
            self._thread.prepare()
            self._started_s = time.monotonic()
            self.state = QuantizingState(QuantizingStatus.RUNNING, plan.model.key, plan.label)
            self._thread.begin(lambda: self._work(plan))
        self._on_change()
        return plan

    def sweep(self) -> None:
        """Take away what killed processes left of files that they made; looks through the whole models folder."""
        sweep_unfinished(self._settings.models_folder)

    def stop(self) -> None:
        """End it now; nothing is left of the file."""
        self._thread.ask_to_stop()
        errand = self._errand
        if errand is not None:
            errand.stop()

    def wait(self, timeout_s: float) -> bool:
        """Wait until no file is being made; false after `timeout_s`."""
        self._thread.wait(timeout_s)
        return not self.state.is_running

    def close(self) -> None:
        """Stop, and wait for the worker's end."""
        self.stop()
        self._thread.wait()

    def _target(self, model: InstalledModel, source_label: str, label: str) -> Path:
        """Beside the source where that is ours, else in the models folder. The name says what it was made from."""
        first = model.paths[0]
        stem = first.stem.removesuffix("-00001-of-00001") if len(model.paths) == 1 else first.stem[: -len("-00001-of-00001")]
        own = label_of_name(first.name)
        if own and stem.upper().endswith(own):
            stem = stem[: -len(own)].rstrip("-._ ")
        folder = first.parent if model.source == OWN_SOURCE else self._settings.models_folder
        return folder / f"{stem or 'model'}-from-{source_label}-{label}.gguf"

    def _work(self, plan: QuantizePlan) -> None:
        try:
            self._settings.existing_models_folder()
            self.sweep()
            with being_made(plan.target) as part:
                made = self._made(plan, part)
            state = replace(self.state, left_s=0.0)
            if made is None:
                self._show(replace(state, status=QuantizingStatus.STOPPED))
            else:
                self._library.changed()
                self._show(replace(
                    state, status=QuantizingStatus.DONE, fraction=1.0, made_key=self._library.get(str(plan.target)).key,
                    size_bytes=made.size_bytes, fallbacks=made.fallbacks))
        except AppError as error:
            self._show(replace(self.state, status=QuantizingStatus.FAILED, error=error, left_s=0.0))
        except Exception as error:
            log.exception("%s could not be made", plan.target.name)
            failure = AppError(
                errors.QUANTIZE_FAILED, name=plan.model.paths[0].name, label=plan.label,
                reason=f"an internal error ({type(error).__name__})", detail=repr(error))
            self._show(replace(self.state, status=QuantizingStatus.FAILED, error=failure, left_s=0.0))

    def _made(self, plan: QuantizePlan, part: Path) -> Quantized | None:
        """The complete file in its place; None where it was stopped. AppError for everything that goes wrong."""
        make_command, folder = self._worker
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise AppError(errors.FOLDER_READ_ONLY, folder=folder, detail=str(error)) from error
        self._errand = errand = WorkerErrand(make_command(), folder, self._on_progress)
        source = plan.model.paths[0]
        metadata = {
            FROM_LABEL_KEY: plan.source_label, FROM_FILE_KEY: source.name, FROM_BITS_KEY: f"{plan.source_bits:.3f}"}
        try:
            made = None if self._thread.is_stopped else errand.run(
                Quantize(id=1, source_path=str(source), target_path=str(part), label=plan.label, metadata=metadata), Quantized)
        except AppError as error:
            if error.spec is not errors.ENGINE_CRASHED:
                raise
            reason = error.message[0].lower() + error.message[1:].rstrip(".")
            raise AppError(
                errors.QUANTIZE_FAILED, name=source.name, label=plan.label, reason=reason, detail=error.detail) from error
        finally:
            self._errand = None
        if made is None:
            return None
        read_header_file(part)
        try:
            part.replace(plan.target)
        except OSError as error:
            raise AppError(errors.FOLDER_READ_ONLY, folder=plan.target.parent, detail=str(error)) from error
        return made

    def _on_progress(self, event: WorkerEvent) -> None:
        if isinstance(event, QuantizeProgressed):
            elapsed_s, fraction = time.monotonic() - self._started_s, event.fraction
            self._show(replace(
                self.state, fraction=fraction, size_bytes=event.planned_bytes,
                left_s=elapsed_s * (1 - fraction) / fraction if fraction > 0 else None))

    def _show(self, state: QuantizingState) -> None:
        self.state = state
        self._on_change()


def source_precision(model: InstalledModel, provenance: Provenance) -> tuple[str, float]:
    """The label of what a model's weights went through, and its nominal bits: its own, or its source's where that has fewer."""
    own = model.label if model.label in BITS_PER_WEIGHT else provenance.main_type
    labels = [own, provenance.source_label] if provenance.source_label in BITS_PER_WEIGHT else [own]
    named = [(label, _nominal_bits(label)) for label in labels]
    return min(named, key=lambda one: one[1])


def warning_words(source_label: str, bits: float, label: str) -> str:
    """What speaks against making a file of one that has lost something already; empty for an original."""
    if source_label in ORIGINALS:
        return ""
    if bits >= _NEARLY_ORIGINAL_BITS:
        return f"It is made from {source_label} and not from the original, so it loses slightly more than a usual {label}."
    return (
        f"It is made from {source_label}, which has lost something already: a {label} made from the original is better, where "
        "one can be downloaded.")


def _nominal_bits(label: str) -> float:
    """Bits per weight of a label or of a type; 0.0 for an unknown one."""
    if label in BITS_PER_WEIGHT:
        return BITS_PER_WEIGHT[label]
    known = QUANT_TYPES_BY_NAME.get(label)
    return known.bits_per_weight if known is not None else 0.0
