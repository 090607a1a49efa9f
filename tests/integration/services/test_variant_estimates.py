"""The table of variants: shown at once from what is known, refined row by row, never held up by one bad file."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from localai_app.catalog.load import load_catalog
from localai_app.catalog.model import Catalog, CatalogFile
from localai_app.engine.protocol import KvType, LoadOptions, Planned, PlannedBuffer
from localai_app.errors import AppError
from localai_app.fit.result import Basis, FitResult, Subject, Verdict
from localai_app.hardware.report import EngineDevice
from localai_app.paths import resources_dir
from localai_app.services.app_services import AppServices
from localai_app.services.events import Event, VariantsRefined
from localai_app.services.views import VariantRow
from localai_app.services.what_if import PRESETS
from tests.helpers.gguf_files import Typed, encode_gguf, write_tiny_gguf
from tests.helpers.hub_server import HubServer, RepoFixture
from tests.helpers.services_fixture import EventRecorder, open_services, wait_until

REPO, OTHER, DAMAGED = "tester/Several-GGUF", "tester/Other-GGUF", "tester/Damaged-GGUF"
LABELS = ("Q2_K", "Q4_0", "Q8_0", "F16")


def models(folder: Path) -> dict[str, bytes]:
    """Four variants of different sizes; the largest has more of its weights outside of its blocks than the others."""
    data = {}
    for number, label in enumerate(LABELS):
        path = write_tiny_gguf(folder / "source.gguf", n_ff=160 + 64 * number, tied_embeddings=label != "F16", n_layer=4)
        data[f"several-{label}.gguf"] = path.read_bytes()
    return data


def damaged(good: bytes) -> dict[str, bytes]:
    """A good variant among files that are none, in every way that a header can be wrong."""
    arch = ("general.architecture", Typed("str", "llama"))
    return {
        "bad-Q8_0.gguf": good,
        "bad-Q6_K.gguf": b"<html>a login page</html>" * 40,
        "bad-Q5_0.gguf": good[: len(good) // 3],
        "bad-Q4_0.gguf": encode_gguf([arch], n_tensors=2**62),
        "bad-Q3_K_M.gguf": encode_gguf([arch], n_keys=1_000_000_000),
        "bad-Q2_K.gguf": encode_gguf([arch, ("llama.block_count", Typed("u32", 4_000_000_000))]),
        "bad-F16.gguf": encode_gguf([arch, ("llama.block_count", Typed("u32", 2))]) + bytes(9000),
    }


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    files = models(tmp_path)
    good = files["several-Q8_0.gguf"]
    repos = {
        REPO: RepoFixture(files), DAMAGED: RepoFixture(damaged(good)),
        OTHER: RepoFixture({"other-Q4_0.gguf": good + bytes(64)}),
        "tester/Gated-GGUF": RepoFixture({f"g-Q{n}_0.gguf": good + bytes(32 * n) for n in (4, 5, 8)}, gated=True)}
    with HubServer(repos) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        yield server


@pytest.fixture
def services(tmp_path: Path) -> Iterator[AppServices]:
    with open_services(tmp_path / "data") as opened:
        opened.hardware.detect_now(with_engine=False)
        yield opened


def is_refined(rows: tuple[VariantRow, ...]) -> bool:
    return not any(row.is_refining for row in rows)


def test_rows_are_there_at_once_and_get_their_own_headers_in_the_background(hub: HubServer, services: AppServices) -> None:
    recorder = EventRecorder(services)
    repo = services.variants.find(REPO)
    hub.fail("*several-Q2_K*", "slow=100000", times=None)
    before = services.variants.rows(repo)
    assert [(row.label, row.fit) for row in before] == [(label, None) for label in LABELS]
    services.variants.open(repo, first="Q4_0")
    recorder.wait_for(VariantsRefined)
    rows = {row.label: row for row in services.variants.rows(repo)}
    assert all(row.fit is not None for row in rows.values())
    wait_until(lambda: is_refined(services.variants.rows(repo)))
    after = services.variants.rows(repo)
    assert [row.label for row in after] == list(LABELS)
    assert [row.fit.basis for row in after if row.fit is not None] == [Basis.HEADER] * 4
    assert {event.repo_id for event in recorder.of(VariantsRefined)} == {REPO}


def test_the_first_header_stands_for_the_others_until_theirs_are_read(hub: HubServer, services: AppServices) -> None:
    repo = services.variants.find(REPO)
    rows = services.variants.read(repo, quick=True)
    assert [row.fit.basis for row in rows if row.fit is not None] == [Basis.HEADER] + [Basis.CATALOG] * 3
    assert len(hub.body_requests()) == 1
    rough = rows[3].fit
    assert rough is not None
    assert "estimated from the size of the file" in rough.reasons[-1]
    exact = services.variants.read(repo)[3].fit
    assert exact is not None
    assert exact.basis is Basis.HEADER
    assert exact.weights_bytes != rough.weights_bytes
    assert exact.weights_bytes == pytest.approx(rough.weights_bytes, rel=0.2)
    assert services.variants.explained(repo, "F16", exact) == exact, "a difference of kilobytes is not worth a word"


def test_another_request_is_answered_from_what_is_known_without_the_network(hub: HubServer, services: AppServices) -> None:
    repo = services.variants.find(REPO)
    services.variants.read(repo)
    asked = len(hub.requests)
    longer = msgspec.structs.replace(services.estimate.default_request(), ctx=2048, kv_type=KvType.Q8_0)
    started_s = time.perf_counter()
    rows = services.variants.rows(repo, longer)
    assert time.perf_counter() - started_s < 0.2
    assert [(row.fit.ctx, row.fit.kv_type) for row in rows if row.fit is not None] == [(2048, KvType.Q8_0)] * 4
    assert len(hub.requests) == asked


def test_opening_another_repository_stops_asking_for_the_first_one(hub: HubServer, services: AppServices) -> None:
    repo, other = services.variants.find(REPO), services.variants.find(OTHER)
    hub.fail("*several-*", "slow=50000", times=None)
    services.variants.open(repo)
    wait_until(lambda: len(hub.body_requests()) > 0)
    services.variants.open(other)
    wait_until(lambda: is_refined(services.variants.rows(other)))
    asked = len(hub.body_requests())
    time.sleep(0.5)
    assert len(hub.body_requests()) == asked
    assert services.variants.rows(other)[0].fit is not None
    assert is_refined(services.variants.rows(repo))


def test_damaged_and_hostile_headers_are_not_known_in_words_and_spoil_no_other_row(
    hub: HubServer, services: AppServices,
) -> None:
    repo = services.variants.find(DAMAGED)
    services.variants.open(repo)
    wait_until(lambda: is_refined(services.variants.rows(repo)))
    fits = {row.label: row.fit for row in services.variants.rows(repo)}
    good = fits.pop("Q8_0")
    assert good is not None
    assert good.basis is Basis.HEADER
    assert good.verdict is not Verdict.UNKNOWN
    assert len(fits) == 6
    for label, fit in fits.items():
        assert fit is not None, label
        assert fit.verdict is Verdict.UNKNOWN, label
        assert f"bad-{label}.gguf" in fit.reasons[0]
    assert services.variants.problem(repo) is None


def test_a_repository_that_may_not_be_read_is_asked_no_more_than_needed(hub: HubServer, services: AppServices) -> None:
    repo = services.variants.find("tester/Gated-GGUF")
    services.variants.open(repo)
    wait_until(lambda: is_refined(services.variants.rows(repo)))
    problem = services.variants.problem(repo)
    assert isinstance(problem, AppError)
    assert problem.code == "repo_gated"
    assert [row.fit for row in services.variants.rows(repo)] == [None, None, None]
    with pytest.raises(AppError):
        services.variants.read(repo)


def test_a_repository_without_models_is_refused_in_words(hub: HubServer, services: AppServices) -> None:
    hub.publish("tester/Empty", RepoFixture({"README.md": b"nothing"}))
    with pytest.raises(AppError) as caught:
        services.variants.find("tester/Empty")
    assert caught.value.code == "repo_has_no_gguf"


@pytest.mark.model
def test_every_row_gets_llama_cpps_own_plan_and_a_new_context_too(hub: HubServer, tmp_path: Path) -> None:
    with open_services(tmp_path / "data", echo=None) as services:
        services.hardware.detect_now(with_engine=False)
        repo = services.variants.find(REPO)
        services.variants.open(repo)
        wait_until(lambda: is_refined(services.variants.rows(repo)), 60)
        rows = services.variants.rows(repo)
        assert [row.fit.basis for row in rows if row.fit is not None] == [Basis.DRY_RUN] * 4
        asked = len(hub.requests)
        longer = msgspec.structs.replace(services.estimate.default_request(), ctx=1280)
        assert any(services.variants.rows(repo, longer))
        services.variants.follow(longer)
        wait_until(lambda: is_refined(services.variants.rows(repo, longer)), 60)
        assert len(hub.requests) == asked
    with open_services(tmp_path / "data", echo=None) as services:
        services.hardware.detect_now(with_engine=False)
        services.variants.open(repo)
        wait_until(lambda: is_refined(services.variants.rows(repo, longer)), 60)
        assert services.dry_runs._planner.pid is None, "every plan was kept"


def test_sizes_from_the_hub_replace_the_catalogs_from_then_on(hub: HubServer, tmp_path: Path) -> None:
    catalog = load_catalog(resources_dir() / "catalog" / "models.json")
    model = next(model for model in catalog.models if model.id == "qwen3-8b")
    files = tuple(
        CatalogFile(label=label, size_bytes=size, source="test")
        for label, size in (("Q8_0", 500_000), ("Q6_K", 450_000), ("Q2_K", 400_000), ("F16", 5_000_000_000)))
    file = tmp_path / "catalog.json"
    file.write_bytes(msgspec.json.encode(Catalog(
        version=catalog.version, made_from="test", models=(msgspec.structs.replace(model, repo_id=REPO, files=files),))))

    def exact(services: AppServices) -> dict[str, int]:
        (row,) = services.discovery.rows()
        return {one.label: one.size_bytes for one in row.model.files if one.is_exact}

    with open_services(tmp_path / "data", catalog=file) as services:
        services.hardware.detect_now(with_engine=False)
        services.discovery.compute_now()
        assert exact(services) == {}
        published = {variant.label: variant.size_bytes for variant in services.variants.find(REPO).variants}
        wanted = {label: size for label, size in published.items() if label in ("Q2_K", "Q8_0")}
        wait_until(lambda: exact(services) == wanted)
    with open_services(tmp_path / "data", catalog=file) as services:
        services.hardware.detect_now(with_engine=False)
        services.discovery.compute_now()
        assert exact(services) == wanted


def test_a_context_chosen_while_a_run_ends_is_still_being_refined(
    hub: HubServer, services: AppServices, monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = msgspec.structs.replace(services.estimate.default_request(), ctx=1024)
    repo = services.variants.find(REPO)
    has_ended = threading.Event()
    seen: list[bool] = []

    def follow_once() -> None:
        if not has_ended.is_set():
            services.variants.follow(other)
            has_ended.set()

    def look(event: Event) -> None:
        if isinstance(event, VariantsRefined) and has_ended.is_set():
            seen.append(is_refined(services.variants.rows(repo, other)))

    monkeypatch.setattr(services.estimate, "end_dry_runs", follow_once)
    services.events.subscribe(look)
    services.variants.open(repo)
    wait_until(lambda: True in seen)
    assert seen[0] is False


def test_rows_that_nothing_changed_for_are_not_worked_out_again(
    hub: HubServer, services: AppServices, monkeypatch: pytest.MonkeyPatch,
) -> None:
    counted: list[str] = []
    real = services.estimate.fit_subject

    def count(subject: Subject, *rest: Any) -> FitResult:
        if threading.current_thread() is threading.main_thread():  # the catalog is fitted in the background
            counted.append(subject.label)
        return real(subject, *rest)

    monkeypatch.setattr(services.estimate, "fit_subject", count)
    repo = services.variants.find(REPO)
    services.variants.read(repo, quick=True)
    first = services.variants.rows(repo)
    counted.clear()
    assert services.variants.rows(repo) == first
    assert counted == []
    services.variants.rows(repo, msgspec.structs.replace(services.estimate.default_request(), ctx=1024))
    assert counted == list(LABELS)
    counted.clear()
    report = services.hardware.report
    assert report is not None
    memory = msgspec.structs.replace(report.memory, available_bytes=report.memory.available_bytes // 2)
    services.hardware._report = msgspec.structs.replace(report, memory=memory)
    after = services.variants.rows(repo)
    assert counted == list(LABELS)
    assert [row.fit for row in after] != [row.fit for row in first]


class GpuPlanner:
    """Stands for a worker that plans for a GPU, of which there is none here."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.devices: set[str] = set()

    def plan(self, _path: Path, options: LoadOptions) -> Planned:
        self.done.append("plan")
        self.devices |= set(options.devices)
        devices = [PlannedBuffer(device=name, kind="gpu", kv_bytes=1 << 20, compute_bytes=1 << 20) for name in options.devices]
        return Planned(
            id=1, buffers=(PlannedBuffer(device="CPU", kind="cpu", compute_bytes=1 << 20), *devices), n_layer=5,
            gpu_layers=options.gpu_layers, plan_s=0.0, engine_build="test")

    def rest(self) -> None:
        self.done.append("rest")

    def close(self) -> None:
        """Nothing runs."""


def with_planned_gpu(services: AppServices) -> GpuPlanner:
    """The services on a computer with a GPU that llama.cpp sees, and what plans for it."""
    report = services.hardware.detect_now(with_engine=False)
    gpu = EngineDevice(name="CUDA0", description="a GPU", kind="gpu", total_bytes=8 << 30, free_bytes=8 << 30)
    services.hardware._report = msgspec.structs.replace(report, engine_devices=(gpu,))
    planner = services.dry_runs._planner = GpuPlanner()  # type: ignore[assignment]
    return planner


@pytest.mark.model
def test_for_another_computer_nothing_is_planned_on_the_gpu_of_this_one(hub: HubServer, tmp_path: Path) -> None:
    with open_services(tmp_path / "data", echo=None) as services:
        planner = with_planned_gpu(services)
        repo = services.variants.find(REPO)
        services.variants.read(repo, hardware=services.what_if.machine(PRESETS["desktop-rtx-4090"]))
        assert planner.done.count("plan") >= len(LABELS)
        assert planner.devices == set()
        services.variants.read(repo)
        assert planner.devices == {"CUDA0"}


@pytest.mark.model
def test_the_worker_that_plans_for_a_gpu_gives_its_memory_back_once_after_the_last_row(hub: HubServer, tmp_path: Path) -> None:
    with open_services(tmp_path / "data", echo=None) as services:
        planner = with_planned_gpu(services)
        services.variants.read(services.variants.find(REPO))
        assert planner.done.count("plan") >= 2 * len(LABELS)
        assert planner.done.count("rest") == 1
        assert planner.done[-1] == "rest"
