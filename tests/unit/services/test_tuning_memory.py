"""What is remembered of how models run fastest, and when it no longer holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import msgspec
import pytest

from localai_app.engine.protocol import KvType, LoadOptions, TuningKind, TuningRow
from localai_app.hardware.report import Cpu
from localai_app.services.tuning_memory import KnownTuning, TuningMemory
from localai_app.services.tuning_words import tuning_sentence
from localai_app.services.views import InstalledModel
from localai_app.store.database import Store, open_store

MODEL = InstalledModel("owner/repo:Q4_K_M", "repo", "Q4_K_M", "owner/repo", (Path("/m.gguf"),), 1000, "Local AI")
OPTIONS = LoadOptions(model_path="/m.gguf", ctx=4096)
CPU = Cpu(model="Some CPU", architecture="x86_64", physical_cores=4, logical_cores=8)


def rows(threads: int = 3, prompt_threads: int = 4, ubatch: int = 512) -> tuple[TuningRow, ...]:
    kinds = ((TuningKind.GENERATION, threads), (TuningKind.PROMPT, prompt_threads), (TuningKind.STEP, ubatch))
    return tuple(TuningRow(kind=kind, value=value, tps=50.0) for kind, value in kinds if value)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "localai.sqlite3")
    yield opened
    opened.close()


def memory_of(store: Store, build: str = "1.0", cpu: Cpu = CPU) -> TuningMemory:
    return TuningMemory(store.tuning, lambda: build, lambda: cpu)


def test_a_measurement_is_found_for_the_same_placement(store: Store) -> None:
    memory = memory_of(store)
    assert memory.find(MODEL, OPTIONS) is None
    known = memory.keep(MODEL, OPTIONS, rows(), 100.0)
    assert memory_of(store).find(MODEL, OPTIONS) == known
    assert memory.find(MODEL, msgspec.structs.replace(OPTIONS, ctx=8192, threads=2)) == known
    for change in ({"gpu_layers": 5}, {"kv_type": KvType.Q8_0}, {"cpu_expert_blocks": 2}):
        assert memory.find(MODEL, msgspec.structs.replace(OPTIONS, **change)) is None


def test_each_placement_has_its_own_and_the_newest_comes_first(store: Store) -> None:
    memory, on_gpu = memory_of(store), msgspec.structs.replace(OPTIONS, gpu_layers=9, devices=("CUDA0",))
    memory.keep(MODEL, OPTIONS, rows(threads=3), 100.0)
    memory.keep(MODEL, on_gpu, rows(threads=1), 200.0)
    memory.keep(MODEL, OPTIONS, rows(threads=2), 300.0)
    assert [known.tuning.threads for known in memory.all_of(MODEL)] == [2, 1]


@pytest.mark.parametrize("other", [
    {"build": "2.0"}, {"cpu": msgspec.structs.replace(CPU, model="Another")},
    {"cpu": msgspec.structs.replace(CPU, physical_cores=2)}])
def test_another_engine_or_processor_is_measured_anew(store: Store, other: dict[str, object]) -> None:
    memory_of(store).keep(MODEL, OPTIONS, rows(), 100.0)
    assert memory_of(store, **other).find(MODEL, OPTIONS) is None  # type: ignore[arg-type]


def test_another_file_is_measured_anew(store: Store) -> None:
    memory = memory_of(store)
    memory.keep(MODEL, OPTIONS, rows(), 100.0)
    assert memory.find(replace(MODEL, size_bytes=1001), OPTIONS) is None


def test_what_drafting_gained_is_averaged_over_the_last_answers(store: Store) -> None:
    memory = memory_of(store)
    assert memory.draft_gain(MODEL, "lookup") == 0.0
    memory.keep_draft_gain(MODEL, "lookup", 1.5)
    assert memory.draft_gain(MODEL, "lookup") == 1.5
    memory.keep_draft_gain(MODEL, "lookup", 0.5)
    assert memory.draft_gain(MODEL, "lookup") == pytest.approx(1.0)
    for _ in range(60):
        memory.keep_draft_gain(MODEL, "lookup", 2.0)
    assert memory.draft_gain(MODEL, "lookup") == pytest.approx(2.0, abs=0.01)
    assert memory.draft_gain(MODEL, "owner/small:Q8_0") == 0.0


def test_what_cannot_be_read_counts_as_not_measured(store: Store) -> None:
    memory = memory_of(store)
    memory.keep(MODEL, OPTIONS, rows(), 100.0)
    store.tuning.set(memory._name("threads", MODEL), "{broken")
    assert memory.find(MODEL, OPTIONS) is None


@pytest.mark.parametrize(("found", "words"), [
    (rows(2, 2, 512), "2 processor threads, 512 tokens a step"),
    (rows(1, 2, 0), "1 processor thread for answers, 2 for prompts"),
    (rows(0, 0, 256), "256 tokens a step")])
def test_it_is_told_as_a_sentence(found: tuple[TuningRow, ...], words: str) -> None:
    time_s = datetime(2026, 11, 5, 12).timestamp()
    known = KnownTuning(placement="", rows=found, time_s=time_s)
    assert tuning_sentence(known) == f"Fastest here: {words}; measured on 5 November 2026."
    assert tuning_sentence(None) == ""
