"""Builds of llama.cpp in real child processes: which one is chosen, and what happens when one fails."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import msgspec
import pytest

from localai_app import errors
from localai_app.engine import runtimes as engine_runtimes
from localai_app.engine.outcome import OutcomeKind, WorkerOutcome
from localai_app.engine.runtimes import Runtime, discover
from localai_app.engine.self_test import MAX_DIFFERENCE
from localai_app.engine.tiny_model import write_tiny_model
from localai_app.engine.variants import NEEDS
from localai_app.hardware.report import Cpu, Gpu, HardwareReport, Memory, Vendor
from localai_app.paths import AppPaths, app_paths
from localai_app.services.events import ErrorHappened, EventBus, HardwareReported, RuntimesChanged, WorkerDied
from localai_app.services.runtimes import RuntimeService
from localai_app.services.self_test_run import TestResult, run_self_test
from tests.helpers.runtime_builds import (
    CRASHES,
    HANGS,
    PASSES,
    compile_backend,
    copy_libraries,
    library_folder,
    write_manifest,
)
from tests.helpers.services_fixture import wait_until

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the stand-ins are made for Linux")

COMPUTER = HardwareReport(
    system="linux", cpu=Cpu(model="Test", architecture="x86_64", physical_cores=2, logical_cores=2, instruction_sets=("avx2",)),
    memory=Memory(total_bytes=2**34, available_bytes=2**33))
SEGFAULT = WorkerOutcome(OutcomeKind.SIGNAL, None, 11, "")


class Bench:
    """A RuntimeService over folders of a test, with what it published and how many child processes it started."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.paths: AppPaths = app_paths(root / "data")
        self.report = COMPUTER
        self.events: list[object] = []
        self.tested: list[str] = []
        self.looks: list[int] = []
        self.speeds: dict[str, float] = {}
        self.deadlines: dict[str, float] = {}
        self.bus = EventBus()
        self.bus.subscribe(self.events.append)
        monkeypatch.setattr("localai_app.services.runtimes.run_self_test", self._run)

    def _run(
        self, runtime: Runtime, model: Path, worker_dir: Path, *, deadline_s: float, given_up: threading.Event,
    ) -> TestResult:
        """The real one; only the speeds are set, because a busy test computer makes any order of them."""
        self.tested.append(runtime.key)
        deadline_s = self.deadlines.get(runtime.key, deadline_s)
        result = run_self_test(runtime, model, worker_dir, deadline_s=deadline_s, given_up=given_up)
        speed = self.speeds.get(runtime.key)
        return result if speed is None else msgspec.structs.replace(result, prompt_tps=speed, generation_tps=speed)

    def says_everything(self) -> None:
        """A processor that lists all instruction sets, whatever it can do."""
        listed = sorted({name for needs in NEEDS.values() for name in needs})
        self.report = msgspec.structs.replace(
            self.report, cpu=msgspec.structs.replace(self.report.cpu, instruction_sets=tuple(listed)))

    def tested_service(self) -> RuntimeService:
        """A service after its test in the background."""
        service = self.started_service()
        wait_until(lambda: not is_alive("runtimes"))
        service.close()
        return service

    def started_service(self) -> RuntimeService:
        """A service that has heard what this computer is."""
        service = self.service()
        service.start(lambda: self.looks.append(1))
        self.bus.publish(HardwareReported(msgspec.structs.replace(self.report, engine_devices=())))
        return service

    def service(self) -> RuntimeService:
        return RuntimeService(self.bus, self.paths, lambda: self.report)

    @property
    def sentences(self) -> list[str]:
        return [event.error.message for event in self.events if isinstance(event, ErrorHappened)]


def is_alive(name: str) -> bool:
    return any(thread.name == name for thread in threading.enumerate())


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    library_folder()
    return Bench(tmp_path, monkeypatch)


@pytest.fixture
def only_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in an installer's build, where the package has no libraries of its own."""
    monkeypatch.setattr(engine_runtimes, "installed_package", lambda: None)


def results_of(service: RuntimeService) -> dict[str, TestResult]:
    """Every result by the key of its runtime."""
    return {row.runtime.key: row.result for row in service.rows() if row.result is not None}


def make_engine(bench: Bench, name: str = "lcpp-1", **variants: str) -> Path:
    """An installed engine whose processor variants behave as told."""
    folder = copy_libraries(bench.paths.runtimes / name)
    backends = [
        compile_backend(folder, variant, body, score=0 if variant == "zen4" else 1) for variant, body in variants.items()]
    write_manifest(folder, name, backends)
    return folder


def test_the_installed_build_passes_and_is_remembered(bench: Bench) -> None:
    service = bench.service()
    (row,) = service.rows()
    assert row.result is None
    assert service.chosen().key == "installed/cpu"
    assert bench.tested == [], "a single build is used at once"
    (row,) = bench.tested_service().rows()
    assert row.result is not None
    assert row.result.passed, row.result
    assert row.result.difference < MAX_DIFFERENCE / 5
    assert row.result.prompt_tps > row.result.generation_tps > 10
    assert [type(event) for event in bench.events] == [HardwareReported, RuntimesChanged]

    again = bench.started_service()
    time.sleep(0.2)
    again.close()
    assert again.rows()[0].result == row.result
    assert bench.tested == ["installed/cpu"], "what is known of this computer is not tested again"
    bench.report = msgspec.structs.replace(COMPUTER, gpus=(Gpu(
        index=0, name="Some GPU", vendor=Vendor.NVIDIA, total_bytes=1, free_bytes=1, driver="590.1"),))
    bench.tested_service()
    assert bench.tested == ["installed/cpu"] * 2, "another driver is another computer"


def test_the_end_of_the_program_does_not_wait_for_a_test(bench: Bench, only_folders: None) -> None:
    make_engine(bench, haswell=HANGS, x64=HANGS)
    service = bench.started_service()
    wait_until(lambda: bench.tested != [])
    started_s = time.monotonic()
    service.close()
    assert time.monotonic() - started_s < 5
    assert bench.tested == ["lcpp-1/haswell"]
    assert [type(event) for event in bench.events] == [HardwareReported]


def test_variants_that_crash_or_are_not_for_this_processor_give_way(bench: Bench, only_folders: None) -> None:
    make_engine(bench, zen4=PASSES, sapphirerapids=CRASHES, haswell=PASSES, x64=PASSES)
    bench.speeds = {"lcpp-1/haswell": 100, "lcpp-1/x64": 300}
    bench.says_everything()
    service = bench.service()
    assert service.chosen().key == "lcpp-1/haswell", "the first use waits for no more than it takes to have one that passes"
    assert bench.tested == [f"lcpp-1/{name}" for name in ("zen4", "sapphirerapids", "haswell")]
    (sentence,) = bench.sentences
    assert "“lcpp-1, sapphirerapids” failed its self-test" in sentence
    results = results_of(service)
    assert results["lcpp-1/zen4"].is_unsupported
    assert "SIGSEGV" in results["lcpp-1/sapphirerapids"].reason
    assert results["lcpp-1/haswell"].passed

    service = bench.tested_service()
    assert service.chosen().key == "lcpp-1/x64", "whichever is faster, whatever it is called"
    assert bench.tested[3:] == ["lcpp-1/x64", "lcpp-1/haswell"], "and what it replaces was given a second chance"
    assert bench.sentences == [sentence], "said once"
    bench.service().chosen()
    assert len(bench.tested) == 5, "remembered"


def test_variants_that_the_processor_does_not_list_come_last(bench: Bench, only_folders: None) -> None:
    """Each of them would cost the start of a process before the first answer, only to say that it is not for this computer."""
    make_engine(bench, zen4=PASSES, icelake=PASSES, skylakex=PASSES, haswell=PASSES, x64=PASSES)
    service = bench.service()
    assert service.chosen().key == "lcpp-1/haswell"
    assert bench.tested == ["lcpp-1/haswell"]


def test_nobody_waits_for_tests_that_only_compare(bench: Bench, only_folders: None) -> None:
    make_engine(bench, haswell=PASSES, sandybridge=HANGS, x64=PASSES)
    bench.deadlines["lcpp-1/sandybridge"] = 8.0
    service = bench.started_service()
    wait_until(lambda: "lcpp-1/sandybridge" in bench.tested)
    started_s = time.monotonic()
    assert service.chosen().key == "lcpp-1/haswell"
    assert [row.runtime.key for row in service.rows() if row.is_chosen] == ["lcpp-1/haswell"]
    assert time.monotonic() - started_s < 2
    assert "lcpp-1/x64" not in bench.tested
    service.close()


def test_after_a_crash_the_build_is_tested_again_and_replaced(bench: Bench, only_folders: None) -> None:
    folder = make_engine(bench, haswell=PASSES, x64=PASSES)
    bench.speeds = {"lcpp-1/haswell": 100, "lcpp-1/x64": 105}
    service = bench.service()
    first = service.chosen()
    assert first.key == "lcpp-1/haswell"
    bench.bus.publish(WorkerDied("model", WorkerOutcome(OutcomeKind.EXITED, 1, None, "")))
    service.chosen()
    assert len(bench.tested) == 1, "an exit status is no crash of the build"
    bench.speeds["lcpp-1/haswell"] = 80
    bench.bus.publish(WorkerDied("model", SEGFAULT))
    assert service.chosen() == first, "it passes again, so the crash was the model's"
    assert bench.tested == ["lcpp-1/haswell"] * 2
    assert bench.sentences == []

    broken = first.backends[0]
    compile_backend(folder, broken.name.removeprefix("libggml-cpu-").removesuffix(".so"), CRASHES)
    bench.bus.publish(WorkerDied("model", SEGFAULT))
    other = service.chosen()
    assert other.key == "lcpp-1/x64"
    (sentence,) = bench.sentences
    assert "“lcpp-1, haswell” failed its self-test: it crashed by reading memory that is not its own (SIGSEGV)" in sentence
    assert service.chosen() == other
    assert any(row.runtime == first and not row.is_chosen for row in service.rows())


def test_a_crash_is_looked_into_at_once_and_the_devices_listed_anew(bench: Bench, only_folders: None) -> None:
    folder = make_engine(bench, haswell=PASSES, x64=PASSES)
    bench.speeds = {"lcpp-1/haswell": 100, "lcpp-1/x64": 10}
    service = bench.tested_service()
    assert service.chosen().key == "lcpp-1/haswell"
    running = bench.started_service()
    wait_until(lambda: not is_alive("runtimes"))
    assert (bench.looks, sorted(bench.tested)) == ([], ["lcpp-1/haswell", "lcpp-1/x64"]), "all is known"
    compile_backend(folder, "haswell", CRASHES)
    bench.bus.publish(WorkerDied("model", SEGFAULT))
    wait_until(lambda: bench.looks == [1])
    assert running.chosen().key == "lcpp-1/x64"
    running.close()


def test_a_newer_build_that_fails_leaves_the_older_one_in_use(bench: Bench) -> None:
    make_engine(bench, "lcpp-2", x64=HANGS)
    bench.deadlines["lcpp-2/x64"] = 2.0
    service = bench.service()
    assert service.chosen().key == "installed/cpu"
    assert results_of(service)["lcpp-2/x64"].reason == "it did not finish within 2 seconds"


def test_damaged_back_ends_are_left_out_and_the_rest_works(bench: Bench, only_folders: None) -> None:
    folder = make_engine(bench, haswell=PASSES, sandybridge=PASSES, x64=PASSES)
    damage(folder / "backends")
    service = bench.service()
    assert [row.runtime.key for row in service.rows()] == ["lcpp-1/x64"]
    assert len(service.refused()) == 2
    assert "libggml-cpu-haswell.so has" in service.refused()[0]
    assert service.chosen().key == "lcpp-1/x64"
    bench.service().chosen()
    assert bench.tested == [], "there is nothing to choose"


def test_damage_that_only_the_loader_finds(bench: Bench, only_folders: None) -> None:
    """Whoever made the manifest after the damage."""
    folder = make_engine(bench, haswell=PASSES, sandybridge=PASSES, x64=PASSES)
    damage(folder / "backends")
    write_manifest(folder, "lcpp-1", sorted(f"backends/{path.name}" for path in (folder / "backends").iterdir()))
    bench.says_everything()
    service = bench.service()
    assert service.chosen().key == "lcpp-1/x64"
    results = results_of(service)
    assert "cannot be loaded" in results["lcpp-1/haswell"].reason
    assert not results["lcpp-1/sandybridge"].passed
    assert results["lcpp-1/sandybridge"].reason
    (sentence,) = bench.sentences
    assert "“lcpp-1, haswell” failed its self-test" in sentence


def damage(backends: Path) -> None:
    """One is garbage, one is cut off."""
    (backends / "libggml-cpu-haswell.so").write_bytes(b"\x7fELF" + b"garbage" * 200)
    whole = (backends / "libggml-cpu-sandybridge.so").read_bytes()
    (backends / "libggml-cpu-sandybridge.so").write_bytes(whole[: len(whole) // 2])


def test_a_build_that_miscalculates_is_found_out(bench: Bench) -> None:
    """The self-test's model with one weight of another value stands for a build with a wrong kernel."""
    (build,) = discover([]).builds
    model = write_tiny_model(bench.paths.cache)
    data = bytearray(model.read_bytes())
    data[-1000] ^= 0xFF
    wrong = model.with_name("wrong.gguf")
    for at in range(len(data) - 60_000, len(data) - 2000, 210):
        data[at] ^= 0x55
    wrong.write_bytes(data)
    result = run_self_test(Runtime(build), wrong, bench.paths.worker_dir, deadline_s=60, given_up=threading.Event())
    assert not result.passed
    assert result.reason == "it computes wrong results"
    assert result.difference > MAX_DIFFERENCE


@pytest.mark.parametrize(("name", "driver"), [("cuda", "libcuda.so.1"), ("vulkan", "libvulkan.so.1")])
def test_without_a_driver_the_back_end_for_it_is_no_fault(
    bench: Bench, only_folders: None, name: str, driver: str,
) -> None:
    folder = copy_libraries(bench.paths.runtimes / "lcpp-1")
    names = [compile_backend(folder, "x64", PASSES)]
    (folder / "backends" / f"libggml-{name}.so").write_bytes(b"\x7fELF")
    write_manifest(folder, "lcpp-1", [*names, f"backends/libggml-{name}.so"])
    service = bench.service()
    assert service.chosen().key == "lcpp-1/x64"
    assert [row.runtime.key for row in service.rows()] == [f"lcpp-1/{name}+x64", "lcpp-1/x64"]
    result = results_of(service)[f"lcpp-1/{name}+x64"]
    if can_load(driver):
        assert not result.is_unsupported
        (sentence,) = bench.sentences
        assert sentence.startswith(
            f"The engine “lcpp-1, {name}+x64” failed its self-test: the back end libggml-{name}.so cannot be loaded")
    else:
        assert result.is_unsupported
        assert result.reason.endswith(f"is not installed ({driver} is not there)")
        assert bench.sentences == []


def can_load(name: str) -> bool:
    import ctypes

    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def test_when_nothing_passes_it_is_said_and_the_first_is_tried_all_the_same(bench: Bench, only_folders: None) -> None:
    make_engine(bench, haswell=CRASHES, x64=CRASHES)
    service = bench.service()
    assert service.chosen().key == "lcpp-1/haswell"
    assert bench.sentences == [errors.ENGINE_TEST_FAILED.message.format(
        reason="it crashed by reading memory that is not its own (SIGSEGV)")]


def test_a_damaged_memory_of_results_is_made_again(bench: Bench) -> None:
    bench.paths.cache.mkdir(parents=True)
    (bench.paths.cache / "runtimes.json").write_bytes(b"{" * 1000)
    bench.tested_service()
    assert bench.service().rows()[0].result is not None
