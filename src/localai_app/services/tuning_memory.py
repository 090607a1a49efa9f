"""How each model runs fastest on this computer, as it was measured: by model file, engine build, processor and placement."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from localai_app.engine.protocol import LoadOptions, TuningRow
from localai_app.engine.tuning import Tuning, best_tuning
from localai_app.hardware.report import Cpu
from localai_app.services.stored_json import stored_value
from localai_app.services.views import InstalledModel
from localai_app.store.tuning import TuningStore

_T = TypeVar("_T")
_ANSWERS_THAT_COUNT = 8


class KnownTuning(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement. `placement` tells where the layers were and how the context is stored."""

    placement: str
    rows: tuple[TuningRow, ...]
    time_s: float

    @property
    def tuning(self) -> Tuning:
        """What follows from it."""
        return best_tuning(self.rows)


class DraftRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What drafting gained in the last answers: time without it by time with it."""

    gain: float
    answers: int


class TuningMemory:
    """Reads and keeps what was measured. What was measured with another engine or processor is not found."""

    def __init__(self, store: TuningStore, build: Callable[[], str], cpu: Callable[[], Cpu]) -> None:
        self._store = store
        self._build = build
        self._cpu = cpu

    def all_of(self, model: InstalledModel) -> tuple[KnownTuning, ...]:
        """Every measurement of a model with this engine on this processor, newest first."""
        return self._read(self._name("threads", model), tuple[KnownTuning, ...]) or ()

    def find(self, model: InstalledModel, options: LoadOptions) -> KnownTuning | None:
        """The measurement of a model that is loaded like this."""
        placement = placement_of(options)
        return next((known for known in self.all_of(model) if known.placement == placement), None)

    def keep(self, model: InstalledModel, options: LoadOptions, rows: Sequence[TuningRow], time_s: float) -> KnownTuning:
        """Keep a measurement in place of an earlier one of the same placement."""
        known = KnownTuning(placement=placement_of(options), rows=tuple(rows), time_s=time_s)
        others = [other for other in self.all_of(model) if other.placement != known.placement]
        self._write(self._name("threads", model), (known, *others))
        return known

    def draft_gain(self, model: InstalledModel, drafter: str) -> float:
        """What drafting gained here before; 0.0 where that was not measured. `drafter`: a model's key, or `lookup`."""
        record = self._read(self._name(f"draft {drafter}", model), DraftRecord)
        return record.gain if record is not None else 0.0

    def keep_draft_gain(self, model: InstalledModel, drafter: str, gain: float) -> None:
        """Take note of what drafting gained in one answer; the last few count about equally."""
        name = self._name(f"draft {drafter}", model)
        before = self._read(name, DraftRecord) or DraftRecord(gain=gain, answers=0)
        answers = min(before.answers, _ANSWERS_THAT_COUNT - 1)
        self._write(name, DraftRecord(gain=(before.gain * answers + gain) / (answers + 1), answers=answers + 1))

    def _name(self, what: str, model: InstalledModel) -> str:
        cpu = self._cpu()
        processor = f"{cpu.model} {cpu.physical_cores}/{cpu.logical_cores}"
        return "\n".join((what, model.key, str(model.size_bytes), self._build(), processor))

    def _read(self, name: str, kind: type[_T]) -> _T | None:
        return stored_value(self._store.get(name), kind, "a tuning")

    def _write(self, name: str, value: object) -> None:
        self._store.set(name, msgspec.json.encode(value).decode())


def placement_of(options: LoadOptions) -> str:
    """What of a load decides how fast which number of threads is."""
    devices = ",".join(options.devices) if options.gpu_layers > 0 else ""
    return f"{max(0, options.gpu_layers)} {devices} {options.cpu_expert_blocks} {options.kv_type.value}"
