"""What is done for the next contestant while one answers: it is loaded early, or its file is read ahead."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from localai_app.compare.comparison import ComparisonSpec, Way
from localai_app.compare.schedule import ContestantNeed, DeviceUse
from localai_app.services.app_services import AppServices
from localai_app.services.compare import read_ahead
from localai_app.services.compare.comparison_keeper import ComparisonKeeper
from localai_app.services.compare.comparison_service import ComparisonService
from localai_app.services.compare.contestant_plans import ContestantPlanner, PlannedContestant
from localai_app.services.compare.running_state import ContestantPhase
from localai_app.services.events import ComparisonChanged, Event
from localai_app.services.views import LoadedModel
from localai_app.units import GIB
from tests.helpers.comparisons import WAIT_S, install, spec
from tests.helpers.services_fixture import open_services, wait_until

SLOW_TO_LOAD = ("--tokens", "20", "--tokens-per-s", "40", "--load-s", "0.3")


class OnGpus(ContestantPlanner):
    """Plans as the program does, for a computer with a GPU for each contestant."""

    def plan(
        self, spec: ComparisonSpec, limit_bytes: int, instead_of: Sequence[LoadedModel] = (),
    ) -> tuple[PlannedContestant, ...]:
        return tuple(
            dataclasses.replace(planned, need=ContestantNeed((DeviceUse(f"CUDA{place}", GIB, 8 * GIB),), 50.0))
            for place, planned in enumerate(super().plan(spec, limit_bytes, instead_of)))


def phases_seen(
    services: AppServices, comparisons: ComparisonService, wish: ComparisonSpec,
) -> set[tuple[ContestantPhase, ...]]:
    """Run a comparison; what the contestants did at the same time."""
    seen: set[tuple[ContestantPhase, ...]] = set()

    def on_event(event: Event) -> None:
        if isinstance(event, ComparisonChanged):
            seen.add(comparisons.state.phases)

    unsubscribe = services.events.subscribe(on_event)
    comparison_id = comparisons.start(wish)
    assert comparisons.wait(WAIT_S)
    unsubscribe()
    assert not any(one.error for one in comparisons.get(comparison_id).answers)
    return {tuple(phases[place] for place in comparisons.state.schedule.order) for phases in seen}


def test_a_model_for_another_gpu_is_loaded_while_the_last_answer_is_written(tmp_path: Path) -> None:
    install(tmp_path)
    with open_services(tmp_path, echo=SLOW_TO_LOAD) as services:
        parts = dataclasses.replace(
            services.compare.comparisons._parts, planner=OnGpus(services.load_planner))
        comparisons = ComparisonService(services.events, ComparisonKeeper(services.store.comparisons), parts)
        try:
            seen = phases_seen(services, comparisons, spec(way=Way.IN_TURN))
            assert comparisons.state.schedule.prepares_next
            assert (ContestantPhase.ANSWERING, ContestantPhase.LOADING) in seen
            assert (ContestantPhase.ANSWERING, ContestantPhase.WAITING) in seen, "it is loaded before the other one is done"
        finally:
            comparisons.close()


def test_on_one_processor_only_the_file_is_read_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[tuple[Path, ...]] = []

    class Noted(read_ahead.ReadAhead):
        def __init__(self, paths: Sequence[Path]) -> None:
            read.append(tuple(paths))
            super().__init__(paths)

    monkeypatch.setattr("localai_app.services.compare.comparison_run.ReadAhead", Noted)
    install(tmp_path)
    with open_services(tmp_path, echo=SLOW_TO_LOAD) as services:
        comparisons = services.compare.comparisons
        seen = phases_seen(services, comparisons, spec(way=Way.IN_TURN))
        order = comparisons.state.schedule.order
        assert (ContestantPhase.ANSWERING, ContestantPhase.LOADING) not in seen
        assert read == [services.library.get(spec().contestants[order[1]].model_key).paths]


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="this system cannot be asked to read ahead")
def test_a_file_is_read_ahead_to_its_end_only_where_memory_has_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(bytes(9 * 1024 * 1024))
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "posix_fadvise", lambda _file, start, length, _advice: asked.append((start, length)))
    monkeypatch.setattr(read_ahead, "_lower_priority", lambda: None)
    reading = read_ahead.ReadAhead([path])
    wait_until(lambda: len(asked) == 3)
    reading.close()
    assert asked == [(start * 4 * 1024 * 1024, 4 * 1024 * 1024) for start in range(3)]
    asked.clear()
    full = msgspec.structs.replace(read_ahead.measure_memory(), available_bytes=read_ahead.LEFT_FREE_BYTES + 1000)
    monkeypatch.setattr(read_ahead, "measure_memory", lambda: full)
    reading = read_ahead.ReadAhead([path, tmp_path / "gone.gguf"])
    reading._thread.join()
    reading.close()
    assert asked == []
