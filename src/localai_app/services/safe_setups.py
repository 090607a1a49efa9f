"""What is remembered of models that did not load or run as planned: the set-up that worked, and crashes in a row."""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec

from localai_app.engine.load_options import LoadOptions
from localai_app.errors import AppError
from localai_app.hardware.report import HardwareReport
from localai_app.services.stored_json import stored_value
from localai_app.store.database import Store

log = logging.getLogger(__name__)

MANY_CRASHES = 3
"""So many in a row, and safe settings are offered."""


def _lasting(options: LoadOptions) -> LoadOptions:
    """What makes a plan the same as an earlier one: not what follows the moment's free memory and the last measurements."""
    return msgspec.structs.replace(
        options, threads=0, prompt_threads=0, kept_bytes=0, draft_gain=0.0, tensor_split=())


def surroundings(build: str, report: HardwareReport | None) -> str:
    """What a set-up that worked depends on: the engine's build, and the computer's processor and GPUs."""
    parts = (report.cpu.model, *(gpu.name for gpu in report.gpus)) if report is not None else ()
    return " | ".join((build, *parts))


class _SetUp(msgspec.Struct, frozen=True):
    planned: LoadOptions
    """What failed."""
    worked: LoadOptions
    surroundings: str


class SafeSetUps:
    """Kept in the store for the next start; a store that fails costs what it would have kept and nothing else.

    `surroundings` names the engine's build and the computer's processor and GPUs: with others a full set-up is tried again.
    Safe from any thread.
    """

    def __init__(self, store: Store, surroundings: Callable[[], str]) -> None:
        self._store = store
        self._surroundings = surroundings

    def find(self, model_key: str, planned: LoadOptions) -> LoadOptions | None:
        """The set-up that worked where exactly this plan had failed before; None where nothing is known against the plan."""
        known = stored_value(self._read(f"safe_setup:{model_key}"), _SetUp, f"the set-up that worked for {model_key}")
        if known is None:
            return None
        if _lasting(known.planned) != _lasting(planned) or known.surroundings != self._surroundings():
            return None
        return msgspec.structs.replace(
            known.worked, threads=planned.threads, prompt_threads=planned.prompt_threads,
            kept_bytes=min(known.worked.kept_bytes, planned.kept_bytes))

    def remember(self, model_key: str, planned: LoadOptions, worked: LoadOptions) -> None:
        """This worked where that had failed."""
        set_up = _SetUp(planned, worked, self._surroundings())
        self._write(f"safe_setup:{model_key}", msgspec.json.encode(set_up).decode())

    def forget(self, model_key: str) -> None:
        """Try the full set-up next time, and count crashes anew."""
        self._write(f"safe_setup:{model_key}", "")
        self.note_answer(model_key)

    def note_crash(self, model_key: str) -> int:
        """One more crash of this model; how many there are in a row now."""
        text = self._read(f"crashes:{model_key}")
        count = (int(text) if text.isdigit() else 0) + 1
        self._write(f"crashes:{model_key}", str(count))
        return count

    def note_answer(self, model_key: str) -> None:
        """A good answer: earlier crashes do not count any more."""
        if self._read(f"crashes:{model_key}") not in ("", "0"):
            self._write(f"crashes:{model_key}", "0")

    def _read(self, fact: str) -> str:
        try:
            return self._store.library.get_fact(fact) or ""
        except AppError as error:
            log.info("%s cannot be read: %s", fact, error.message)
            return ""

    def _write(self, fact: str, value: str) -> None:
        try:
            self._store.library.set_fact(fact, value)
        except AppError as error:
            log.info("%s could not be kept: %s", fact, error.message)
