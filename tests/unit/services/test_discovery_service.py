"""Cards and badges while free memory moves: the service over a small catalog and real fits, told of memory by events."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from localai_app.catalog.model import Catalog, CatalogFile, CatalogModel
from localai_app.fit.decide import decide
from localai_app.fit.result import Basis, FitResult, Request, Subject, Verdict
from localai_app.gguf.geometry import Geometry
from localai_app.hardware.report import HardwareReport
from localai_app.services import discovery_service
from localai_app.services.background import BackgroundPool
from localai_app.services.discovery_service import DiscoveryService
from localai_app.services.events import (
    EventBus,
    HardwareReported,
    MemoryMeasured,
    ModelLoaded,
    SettingChanged,
    SuggestionsChanged,
)
from localai_app.units import GIB
from tests.helpers import fit_subjects as models
from tests.helpers.fit_subjects import computer, nvidia, weights

GPUS = models.gpu_table()
BITS = {"Q8_0": 8.5, "Q6_K": 6.56, "Q4_K_M": 4.89, "Q3_K_M": 4.0}
SIZES: tuple[tuple[str, float, Geometry], ...] = (
    ("tiny", 36, models.QWEN3_06B), ("8B", 77, models.QWEN3_8B), ("12B", 70, models.GEMMA3_12B),
    ("30B A3B", 78, models.QWEN3_30B_A3B), ("32B", 84, models.QWEN3_32B), ("70B", 86, models.LLAMA_70B))


def catalog_model(name: str, quality: float, geometry: Geometry) -> CatalogModel:
    return CatalogModel(
        id=name, name=name, family=f"Family {name}", publisher="test", repo_id=f"test/{name}", license="MIT", gated=False,
        summary="", tasks=("chat", "vision") if name == "12B" else ("chat",), thinking="never",
        params_total=geometry.params_total, params_active=geometry.params_active, geometry=geometry, quality=quality,
        quality_is_estimated=False, quality_source="test", files=tuple(
            CatalogFile(label=label, size_bytes=round(geometry.params_total * bits / 8), source="computed")
            for label, bits in BITS.items()))


class Fits:
    """The part of the estimates that is asked for the catalog."""

    def default_request(self) -> Request:
        return Request()

    def fit_catalog(
        self, model: CatalogModel, file: CatalogFile, request: Request | None, report: HardwareReport | None,
    ) -> FitResult:
        assert model.geometry is not None
        assert report is not None
        subject = Subject(
            name=model.name, geometry=model.geometry, weights=weights(model.geometry, BITS[file.label]), basis=Basis.CATALOG,
            label=file.label)
        return decide(report, subject, request or Request(), GPUS)


class Chosen:
    """The settings."""

    task = "chat"

    def text(self, key: str) -> str:
        assert key == "task"
        return self.task


class Machine:
    """A computer whose free memory a test moves, with the service that watches it."""

    def __init__(self, report: HardwareReport) -> None:
        self.report: HardwareReport | None = None
        self.events, self.pool, self.chosen = EventBus(), BackgroundPool(), Chosen()
        self.credit: Callable[[Request], Request | None] = lambda request: request
        catalog = Catalog(version=1, made_from="test", models=tuple(catalog_model(*size) for size in SIZES))
        self.discovery = DiscoveryService(
            self.events, self.pool, self.chosen, catalog, Fits(),  # type: ignore[arg-type]
            lambda: self.report, lambda request: self.credit(request))
        self.news: list[SuggestionsChanged] = []
        self.events.subscribe(lambda event: self.news.append(event) if isinstance(event, SuggestionsChanged) else None)
        self.report = report
        self.events.publish(HardwareReported(report))
        self.settle()

    def settle(self) -> None:
        while self.discovery._wishes.is_busy:
            time.sleep(0.0005)

    def measure(self, ram_gib: float, *gpu_gib: float) -> None:
        """The gauges read this much free memory."""
        report = self.report
        assert report is not None
        memory = msgspec.structs.replace(report.memory, available_bytes=round(ram_gib * GIB))
        gpus = tuple(
            msgspec.structs.replace(gpu, free_bytes=round(free * GIB)) for gpu, free in zip(report.gpus, gpu_gib, strict=True))
        self.report = msgspec.structs.replace(report, memory=memory, gpus=gpus)
        self.events.publish(MemoryMeasured(memory, gpus, 0))
        self.settle()

    def cards(self) -> list[tuple[str, str]]:
        suggestions = self.discovery.suggestions
        assert suggestions is not None
        return [(card.model.id, card.file.label) for card in suggestions.cards]

    def fit(self, name: str, label: str) -> FitResult:
        row = next(row for row in self.discovery.rows() if row.model.id == name)
        found = row.fit_of(label)
        assert found is not None
        return found

    def close(self) -> None:
        self.discovery.close()
        self.pool.close()


@pytest.fixture
def open_machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[HardwareReport], Machine]]:
    monkeypatch.setattr(discovery_service, "MEMORY_INTERVAL_S", 0.0)
    opened: list[Machine] = []

    def open_one(report: HardwareReport) -> Machine:
        opened.append(Machine(report))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


def desktop(free_gib: float, ram_gib: float = 50.0) -> HardwareReport:
    return computer(64, ram_gib, (nvidia("RTX 4090", 24, free_gib=free_gib),))


def changes(machine: Machine, readings: list[tuple[float, ...]]) -> int:
    """How often other cards are shown over these readings of free memory (main memory, then the GPU)."""
    count, before = 0, machine.cards()
    for reading in readings:
        machine.measure(*reading)
        count += machine.cards() != before
        before = machine.cards()
    return count


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.floats(-1, 1), min_size=3, max_size=5), st.floats(4, 22), st.floats(8, 50))
def test_free_memory_that_goes_up_and_down_by_a_gib_keeps_the_cards(
    open_machine: Callable[[HardwareReport], Machine], swings: list[float], gpu_gib: float, ram_gib: float,
) -> None:
    """Two changes while the swing is new to it, one more where a card does not run at its low end; then none."""
    readings = [(ram_gib + swing, gpu_gib + swing) for swing in [-1.0, 1.0, -1.0, *swings]]
    machine = open_machine(desktop(gpu_gib + swings[0], ram_gib + swings[0]))
    assert changes(machine, readings[:3]) <= 3
    assert changes(machine, readings[3:] + readings) == 0


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.floats(-0.1, 0.1), min_size=4, max_size=8), st.floats(5, 15))
def test_a_tenth_of_main_memory_more_or_less_keeps_the_cards_of_a_computer_without_a_gpu(
    open_machine: Callable[[HardwareReport], Machine], swings: list[float], free_gib: float,
) -> None:
    """Of 10 GiB: more than a tenth of what is free."""
    machine = open_machine(computer(10, free_gib / 2))
    readings = [(free_gib / 2 * (1 + swing),) for swing in [-0.1, 0.1, -0.1, *swings]]
    assert changes(machine, readings[:3]) <= 3
    assert changes(machine, readings[3:] + readings) == 0


def test_a_threshold_is_crossed_again_and_again_without_other_cards(open_machine: Callable[[HardwareReport], Machine]) -> None:
    """8B Q8_0 flips its verdict at every reading; without the band its card would come and go."""
    machine = open_machine(desktop(12.0))
    threshold = next(
        free / 10 for free in range(120, 60, -1)
        if decide_free(machine, free / 10).verdict is not Verdict.GPU)
    machine.measure(50, threshold + 0.5)
    verdicts, cards = set(), machine.cards()
    for _ in range(8):
        for swing in (-0.6, 0.6):
            machine.measure(50, threshold + swing)
            verdicts.add(machine.fit("8B", "Q8_0").verdict)
            assert machine.cards() == cards
    assert verdicts == {Verdict.GPU, Verdict.GPU_PARTIAL}


def decide_free(machine: Machine, free_gib: float) -> FitResult:
    model = next(row.model for row in machine.discovery.rows() if row.model.id == "8B")
    return Fits().fit_catalog(model, model.files[0], None, desktop(free_gib))


def test_three_gb_taken_from_the_gpu_change_the_verdict_and_it_says_by_how_much(
    open_machine: Callable[[HardwareReport], Machine],
) -> None:
    """Acceptance 11 on a simulated computer; a GB is 10^9 bytes, which are 0.93 GiB."""
    machine = open_machine(desktop(11.5))
    before = machine.cards()
    assert machine.fit("8B", "Q8_0").verdict is Verdict.GPU
    assert not any("less is free" in reason for reason in machine.fit("8B", "Q8_0").reasons)
    machine.measure(50, 11.5 - 3e9 / GIB)
    fit = machine.fit("8B", "Q8_0")
    assert fit.verdict is Verdict.GPU_PARTIAL
    assert fit.reasons[1].startswith("2.8 GiB less is free on NVIDIA GeForce RTX 4090 than at ")
    assert fit.reasons[1].endswith(", when all of it fitted on the GPU.")
    assert machine.cards() != before, "a real change comes through"
    machine.measure(50, 11.5)
    fit = machine.fit("8B", "Q8_0")
    assert fit.verdict is Verdict.GPU
    assert fit.reasons[1].startswith("2.8 GiB more is free on NVIDIA GeForce RTX 4090 than at ")


def test_all_cards_of_one_computation_tell_of_the_same_free_memory(
    open_machine: Callable[[HardwareReport], Machine], monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = open_machine(desktop(20.0))
    fit_catalog, asked = Fits.fit_catalog, []

    def move_meanwhile(self: Fits, *arguments: object) -> FitResult:
        assert machine.report is not None
        asked.append(arguments)
        machine.report = desktop(20.0 - 0.1 * len(asked))
        return fit_catalog(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Fits, "fit_catalog", move_meanwhile)
    machine.discovery.refresh()
    machine.settle()
    suggestions = machine.discovery.suggestions
    assert suggestions is not None
    free = {device.free_bytes for card in suggestions.cards for device in card.fit.devices if device.kind == "gpu"}
    assert len(asked) == len(SIZES) * len(BITS)
    assert len(free) == 1


def test_another_task_ranks_at_once_without_new_fits(
    open_machine: Callable[[HardwareReport], Machine], monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = open_machine(desktop(20.0))
    monkeypatch.setattr(Fits, "fit_catalog", lambda *_arguments: 1 / 0)
    n_news = len(machine.news)
    machine.chosen.task = "vision"
    machine.events.publish(SettingChanged("task"))
    assert [name for name, _label in machine.cards()] == ["12B"]
    assert len(machine.news) == n_news + 1
    machine.chosen.task = "chat"
    machine.events.publish(SettingChanged("task"))
    assert len(machine.cards()) == 3


def test_the_memory_of_the_loaded_model_counts_as_free(open_machine: Callable[[HardwareReport], Machine]) -> None:
    machine = open_machine(desktop(20.0))
    cards, verdict = machine.cards(), machine.fit("8B", "Q8_0").verdict
    machine.credit = lambda _request: None
    machine.measure(50, 4.0)
    assert machine.fit("8B", "Q8_0").verdict is verdict, "nothing is computed while a model is being loaded"
    held = 16 * GIB
    machine.credit = lambda request: msgspec.structs.replace(request, device_credits=(("NVIDIA GeForce RTX 4090", held),))
    machine.events.publish(ModelLoaded("key", None))  # type: ignore[arg-type]
    machine.settle()
    assert machine.fit("8B", "Q8_0").verdict is verdict
    assert machine.cards() == cards
