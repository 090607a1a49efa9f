"""Small stand-ins for the services, for tests of one widget; the event bus and the settings are the real ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from localai_app.catalog.tasks import Task
from localai_app.engine.protocol import Loaded
from localai_app.errors import AppError
from localai_app.hardware.report import Cpu, EngineDevice, Gpu, HardwareReport, Memory, MemoryHolder, ProbeNote, Vendor
from localai_app.paths import AppPaths, app_paths
from localai_app.services.benchmarks import BenchmarkState
from localai_app.services.compare.drafts import CompareDraft
from localai_app.services.compare.running_state import RunningState
from localai_app.services.events import EventBus
from localai_app.services.lending import LendingState
from localai_app.services.lent_devices import Lender
from localai_app.services.live_history import LivePoint
from localai_app.services.machine_parts import KnownGpu
from localai_app.services.packs.folders import InstalledPack
from localai_app.services.packs.pack_service import PackState
from localai_app.services.runtimes import RuntimeRow
from localai_app.services.settings_service import SettingsService
from localai_app.services.speed_snapshot import Finding
from localai_app.services.updates import UpdateService
from localai_app.services.views import (
    DiscoveryRow,
    DownloadView,
    EngineState,
    EngineStatus,
    InstalledModel,
    LoadedModel,
    Suggestions,
)
from localai_app.services.what_if import MachineSpec, WhatIfAnswer, build_machine
from localai_app.services.why_slow import SlowReport
from localai_app.settings.file import SettingsFile
from localai_app.store.records import BenchmarkRecord, Conversation, Measurement
from tests.helpers.signing import trust_in
from tests.helpers.update_services import update_service

GIB = 1024**3
REPORT = HardwareReport(
    system="linux",
    cpu=Cpu(model="Test CPU 9000", architecture="x86_64", physical_cores=8, logical_cores=16,
            instruction_sets=("avx2", "avx512f", "f16c", "mmx", "sse4_2")),
    memory=Memory(total_bytes=32 * GIB, available_bytes=20 * GIB, bandwidth_bytes_per_s=61.3e9),
    gpus=(Gpu(index=0, name="NVIDIA GeForce RTX 4070", vendor=Vendor.NVIDIA, total_bytes=12 * GIB, free_bytes=5 * GIB,
              used_by_others_bytes=2 * GIB, driver="560.35", holders=(MemoryHolder(pid=7, name="game", held_bytes=2 * GIB),)),),
    engine_devices=(EngineDevice(name="CUDA0", description="RTX 4070", kind="gpu", total_bytes=12 * GIB, free_bytes=5 * GIB),),
    notes=(ProbeNote(probe="sysfs", message="The second GPU tells nothing.", remedy="Update its driver."),),
)
LOADED = Loaded(id=1, description="d", ctx=16_384, ctx_train=40_960, n_layer=33, gpu_layers=33, threads=8, model_bytes=1,
                load_s=1.0, has_chat_template=True)


@dataclass
class FakeHardware:
    report: HardwareReport | None = None


@dataclass
class FakeLibrary:
    installed: tuple[InstalledModel, ...] = ()
    linked: list[Path] = field(default_factory=list)

    def models(self) -> tuple[InstalledModel, ...]:
        return self.installed

    def link(self, path: Path) -> InstalledModel:
        self.linked.append(path)
        return installed_model(str(path))


@dataclass
class FakeEngine:
    state: EngineState = field(default_factory=lambda: EngineState(EngineStatus.NONE))
    loads: list[str] = field(default_factory=list)
    reloads: int = 0
    others: tuple[LoadedModel, ...] = ()

    def loaded(self) -> tuple[LoadedModel, ...]:
        own = (LoadedModel(self.state, None, 0.0),) if self.state.is_alive else ()
        return (*own, *self.others)

    def use(self, model_key: str) -> bool:
        return any(model.key == model_key for model in self.others)

    def load(self, model_key: str) -> None:
        self.loads.append(model_key)

    def unload(self, model_key: str = "") -> None:
        self.loads.append(model_key and f"-{model_key}")

    def reload(self) -> None:
        self.reloads += 1


@dataclass
class FakeDownloads:
    views: tuple[DownloadView, ...] = ()

    def downloads(self) -> tuple[DownloadView, ...]:
        return self.views


@dataclass
class FakeChat:
    known: tuple[Conversation, ...] = ()

    def conversations(self, query: str = "") -> tuple[Conversation, ...]:
        return tuple(chat for chat in self.known if query in chat.title)


@dataclass
class FakeDiscovery:
    known: tuple[DiscoveryRow, ...] = ()
    task: Task = Task.CHAT

    def rows(self) -> tuple[DiscoveryRow, ...]:
        return self.known


class FakeWhatIf:
    """Computers on paper over an empty catalog."""

    def gpus(self) -> tuple[KnownGpu, ...]:
        return (KnownGpu("NVIDIA GeForce RTX 4090", Vendor.NVIDIA, "discrete", (24.0,), 1008.0),)

    def machine(self, spec: MachineSpec) -> HardwareReport:
        return build_machine(spec, self.gpus())

    def answer(self, machine: HardwareReport, _task: Task, **_how: object) -> WhatIfAnswer:
        return WhatIfAnswer(machine, (), Suggestions((), 0, 0))


@dataclass
class FakeCalibration:
    known: tuple[Measurement, ...] = ()

    def measurements(self) -> tuple[Measurement, ...]:
        return self.known

    def forget(self) -> None:
        self.known = ()


@dataclass
class FakeBenchmarks:
    state: BenchmarkState = field(default_factory=BenchmarkState)
    known: tuple[BenchmarkRecord, ...] = ()

    def records(self, _model_key: str | None = None) -> tuple[BenchmarkRecord, ...]:
        return self.known


@dataclass
class FakeHistory:
    known: tuple[LivePoint, ...] = ()

    def points(self) -> tuple[LivePoint, ...]:
        return self.known


@dataclass
class FakeWhySlow:
    findings: tuple[Finding, ...] = ()

    def look(self) -> SlowReport:
        return SlowReport("No model is loaded: only the computer was looked at.", self.findings)


class FakeRuntimes:
    """No build of llama.cpp, and none that was refused."""

    def rows(self) -> list[RuntimeRow]:
        return []

    def refused(self) -> tuple[str, ...]:
        return ()


@dataclass
class FakeLending:
    state: LendingState = field(default_factory=LendingState)


@dataclass
class FakeLent:
    lenders: tuple[Lender, ...] = ()


@dataclass
class FakeStore:
    notice: AppError | None = None


class FakeComparisons:
    """Nothing was ever compared."""

    state = RunningState()


class FakeDrafts:
    """Keeps what is set for the next comparison as long as it lives."""

    def __init__(self) -> None:
        self.draft = CompareDraft()

    def get(self) -> CompareDraft:
        return self.draft

    def set(self, draft: CompareDraft) -> None:
        self.draft = draft


@dataclass
class FakeCompare:
    comparisons: FakeComparisons = field(default_factory=FakeComparisons)
    drafts: FakeDrafts = field(default_factory=FakeDrafts)


class FakePackWork:
    """A build that knows no address of runtime packs, and has none."""

    can_ask = False

    def might_gain(self) -> str:
        return ""

    def installed(self) -> list[InstalledPack]:
        return []


class FakePacks:
    """Nothing is on offer and nothing is done."""

    state = PackState()
    work = FakePackWork()

    def look(self) -> None:
        raise AssertionError("nobody was to be asked")

    def cancel(self) -> None:
        raise AssertionError("nothing was under way")


@dataclass
class FakeServices:
    """As much of AppServices as the frame uses."""

    paths: AppPaths
    events: EventBus
    settings: SettingsService
    hardware: FakeHardware = field(default_factory=FakeHardware)
    library: FakeLibrary = field(default_factory=FakeLibrary)
    engine: FakeEngine = field(default_factory=FakeEngine)
    downloads: FakeDownloads = field(default_factory=FakeDownloads)
    chat: FakeChat = field(default_factory=FakeChat)
    store: FakeStore = field(default_factory=FakeStore)
    discovery: FakeDiscovery = field(default_factory=FakeDiscovery)
    what_if: FakeWhatIf = field(default_factory=FakeWhatIf)
    calibration: FakeCalibration = field(default_factory=FakeCalibration)
    benchmarks: FakeBenchmarks = field(default_factory=FakeBenchmarks)
    history: FakeHistory = field(default_factory=FakeHistory)
    why_slow: FakeWhySlow = field(default_factory=FakeWhySlow)
    runtimes: FakeRuntimes = field(default_factory=FakeRuntimes)
    lending: FakeLending = field(default_factory=FakeLending)
    lent: FakeLent = field(default_factory=FakeLent)
    compare: FakeCompare = field(default_factory=FakeCompare)
    updates: UpdateService | None = None
    packs: FakePacks = field(default_factory=FakePacks)

    def sharing_words(self) -> str:
        """No other computer takes part."""
        return ""


def frame_services(folder: Path) -> FakeServices:
    """Services with nothing in them, with their files under `folder`."""
    paths, events = app_paths(folder), EventBus()
    settings = SettingsService(SettingsFile(paths.settings_file), events, paths)
    return FakeServices(paths, events, settings, updates=update_service(paths, events, settings, trust_in()))


def installed_model(key: str, label: str = "Q4_K_M") -> InstalledModel:
    """A model on disk."""
    return InstalledModel(key=key, name=key.rpartition("/")[2], label=label, repo_id="", paths=(Path(key),), size_bytes=GIB,
                          source="Local AI")
