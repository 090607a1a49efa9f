"""All services of the running program, built once by the composition root and handed to constructors."""

from __future__ import annotations

from dataclasses import dataclass

from localai_app.hardware.report import is_lent
from localai_app.paths import AppPaths
from localai_app.services.answer_meter import AnswerMeter
from localai_app.services.background import BackgroundPool
from localai_app.services.benchmarks import BenchmarkService
from localai_app.services.calibration import CalibrationService
from localai_app.services.chat_service import ChatService
from localai_app.services.chat_settings import ChatSettingsService
from localai_app.services.compare.compare_services import CompareServices
from localai_app.services.discovery_service import DiscoveryService
from localai_app.services.downloads_service import DownloadsService
from localai_app.services.drafting import DraftPlanner
from localai_app.services.dry_run import DryRunService
from localai_app.services.engine_service import EngineService
from localai_app.services.estimate_service import EstimateService
from localai_app.services.events import EventBus
from localai_app.services.hardware_service import HardwareService
from localai_app.services.header_service import HeaderService
from localai_app.services.hub_service import HubService
from localai_app.services.idle_unload import IdleUnloader
from localai_app.services.installed_fits import InstalledFits
from localai_app.services.lending import LendingService, LendingStatus
from localai_app.services.lent_devices import LentDevices
from localai_app.services.library_service import LibraryService
from localai_app.services.live_history import LiveHistory
from localai_app.services.load_planner import LoadPlanner
from localai_app.services.load_previews import LoadPreviews
from localai_app.services.load_settings import LoadSettingsService
from localai_app.services.measuring import MeasurementRecorder
from localai_app.services.packs.pack_service import PackService
from localai_app.services.runtimes import RuntimeService
from localai_app.services.safe_setups import SafeSetUps
from localai_app.services.sampling_service import SamplingService
from localai_app.services.settings_service import SettingsService
from localai_app.services.tuning import TuningService
from localai_app.services.tuning_memory import TuningMemory
from localai_app.services.updates import UpdateService
from localai_app.services.variant_estimates import VariantEstimates
from localai_app.services.what_if import WhatIfService
from localai_app.services.why_slow import WhySlowService
from localai_app.settings.addresses import is_this_computer
from localai_app.store.database import Store


@dataclass(frozen=True, slots=True)
class AppServices:
    """Every service; `close` ends their threads and processes."""

    paths: AppPaths
    events: EventBus
    pool: BackgroundPool
    store: Store
    settings: SettingsService
    hardware: HardwareService
    discovery: DiscoveryService
    library: LibraryService
    downloads: DownloadsService
    estimate: EstimateService
    load_settings: LoadSettingsService
    load_planner: LoadPlanner
    load_previews: LoadPreviews
    installed_fits: InstalledFits
    engine: EngineService
    set_ups: SafeSetUps
    idle_unloader: IdleUnloader
    tuning_memory: TuningMemory
    drafts: DraftPlanner
    tuning: TuningService
    chat: ChatService
    chat_settings: ChatSettingsService
    sampling: SamplingService
    hub: HubService
    headers: HeaderService
    variants: VariantEstimates
    dry_runs: DryRunService
    what_if: WhatIfService
    calibration: CalibrationService
    recorder: MeasurementRecorder
    benchmarks: BenchmarkService
    compare: CompareServices
    history: LiveHistory
    runtimes: RuntimeService
    packs: PackService
    why_slow: WhySlowService
    meter: AnswerMeter
    lent: LentDevices
    lending: LendingService
    updates: UpdateService

    def start(self) -> None:
        """Begin what runs by itself: probes, gauges, tidying up, and the downloads that were under way."""
        self.runtimes.start(self.hardware.look_again)
        self.lent.watch(
            self.hardware.look_again, lambda key: self.engine.load(key, keep_others=True), self.engine_uses_lent_devices)
        self.lending.start()
        self.hardware.start()
        self.packs.start()
        self.downloads.start_pending()
        self.pool.submit(self.compare.losses.requantizing.sweep)
        self.tuning.start()
        self.updates.start()

    def sharing_words(self) -> str:
        """Whether other computers take part in computing, for the bottom line; empty where none does."""
        lending = self.lending.state
        if lending.status is LendingStatus.LENDING and not is_this_computer(lending.address):
            return f"Lending devices at {lending.address}"
        are_far = any(lender.answer is not None and not is_this_computer(lender.address) for lender in self.lent.lenders)
        return "Computing on other computers" if are_far and self.engine_uses_lent_devices() else ""

    def engine_uses_lent_devices(self) -> bool:
        """Whether a loaded model lies on devices of other computers."""
        buffers = [buffer for model in self.engine.loaded() if model.state.loaded for buffer in model.state.loaded.buffers]
        return any(is_lent(buffer.device) for buffer in buffers)

    def close(self) -> None:
        """Stop everything in order; what is unfinished goes on at the next start."""
        self.hardware.stop()
        self.updates.close()
        self.lending.close()
        self.lent.close()
        self.runtimes.close()  # Ends the tests of a pack that is put to use, for whose end `packs` waits.
        self.packs.close()
        self.variants.close()
        self.headers.close()
        self.dry_runs.close()
        self.discovery.close()
        self.installed_fits.close()
        self.what_if.close()
        self.downloads.close()
        self.history.close()
        self.benchmarks.close()
        self.compare.close()
        self.chat.close()
        self.idle_unloader.close()
        self.tuning.close()
        self.engine.close()
        self.meter.close()
        self.recorder.close()
        self.pool.close()
        self.store.close()
