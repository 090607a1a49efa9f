"""The composition root: builds every service once, in order, for the window and the command line alike."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from localai_app import __version__
from localai_app.catalog.load import load_catalog
from localai_app.catalog.sizes import with_sizes
from localai_app.engine.launch import command_now
from localai_app.errors import AppError
from localai_app.fit.gpu_table import load_gpu_table
from localai_app.hardware.cpu import this_cpu
from localai_app.hardware.detect import detect_hardware
from localai_app.paths import AppPaths, app_paths, resources_dir
from localai_app.release.memory import SeenNumbers
from localai_app.release.trust import Trust, load_trust
from localai_app.services.answer_meter import AnswerMeter
from localai_app.services.app_services import AppServices
from localai_app.services.background import BackgroundPool
from localai_app.services.benchmarks import BenchmarkService
from localai_app.services.calibration import CalibrationService
from localai_app.services.chat_requests import ChatRequests
from localai_app.services.chat_service import ChatService
from localai_app.services.chat_settings import ChatSettingsService
from localai_app.services.compare.cell_request import CellRequests
from localai_app.services.compare.compare_services import CompareServices
from localai_app.services.compare.comparison_keeper import ComparisonKeeper
from localai_app.services.compare.comparison_runner import ComparisonParts
from localai_app.services.compare.comparison_service import ComparisonService
from localai_app.services.compare.contestant_plans import ContestantPlanner
from localai_app.services.compare.drafts import CompareDrafts
from localai_app.services.compare.file_hashes import FileHashes
from localai_app.services.compare.giving_way import PlanAfterComparison
from localai_app.services.compare.judging import JudgingParts, JudgingService
from localai_app.services.compare.leaderboard import LeaderboardService
from localai_app.services.compare.losses import LossParts, LossService
from localai_app.services.compare.prompt_sets import PromptSetService
from localai_app.services.compare.score_plan import ScorePlanner
from localai_app.services.compare.side_by_side_memory import SideBySideMemory
from localai_app.services.discovery_service import DiscoveryService
from localai_app.services.downloads_service import DownloadsService
from localai_app.services.drafting import DraftPlanner
from localai_app.services.dry_run import DryRunService
from localai_app.services.engine_control import EngineControl
from localai_app.services.engine_room import EngineRoom, room_rules
from localai_app.services.engine_service import EngineService, worker_pids
from localai_app.services.engine_slot import WorkerProgram
from localai_app.services.estimate_service import EstimateService, FitFacts
from localai_app.services.events import EventBus
from localai_app.services.hardware_service import HardwareService
from localai_app.services.header_service import HeaderService
from localai_app.services.hub_service import HubService
from localai_app.services.idle_unload import IdleUnloader
from localai_app.services.installation import Installation, this_installation, this_platform
from localai_app.services.installed_fits import InstalledFits
from localai_app.services.known_sizes import KnownSizes
from localai_app.services.lending import LendingService
from localai_app.services.lent_devices import LentDevices
from localai_app.services.library_service import LibraryService
from localai_app.services.live_history import LiveHistory
from localai_app.services.load_planner import LoadPlanner
from localai_app.services.load_previews import LoadPreviews, credited_now
from localai_app.services.load_settings import LoadSettingsService
from localai_app.services.measuring import MeasurementRecorder
from localai_app.services.packs.assembly import build_packs
from localai_app.services.prompt_states import PromptStates
from localai_app.services.runtimes import RuntimeService
from localai_app.services.safe_setups import SafeSetUps, surroundings
from localai_app.services.sampling_service import SamplingService
from localai_app.services.settings_service import SettingsService
from localai_app.services.signed_fetch import SignedFetch
from localai_app.services.tuning import TuningParts, TuningService
from localai_app.services.tuning_memory import TuningMemory
from localai_app.services.update_memory import UpdateMemory
from localai_app.services.update_source import UpdateSource
from localai_app.services.update_steps import UpdateSteps
from localai_app.services.updates import UpdateService
from localai_app.services.variant_estimates import VariantEstimates
from localai_app.services.vendor_sampling import VendorSampling
from localai_app.services.what_if import WhatIfService
from localai_app.services.why_slow import LoadParts, WhySlowService
from localai_app.settings.file import SettingsFile
from localai_app.store.database import Store, open_store
from localai_app.units import GB

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LaunchOptions:
    """What the command line says about the whole program."""

    data_dir: Path | None = None
    catalog: Path | None = None
    verbose: bool = False
    worker: Sequence[str] | None = None
    """Another worker command than the program's own (the echo back end, for example)."""
    lent: Sequence[str] = ()
    """Addresses (127.0.0.1:PORT) of llama.cpp's RPC servers, beside those of the settings, whose devices are used like GPUs."""
    trust: Trust | None = None
    """Other keys and addresses of releases than those of this build; the command line has no way to say so."""
    installation: Installation | None = None
    """How this copy was installed, where that is not to be found out."""


def build_services(options: LaunchOptions) -> AppServices:
    """Open the files of the program and connect its services; AppError if they cannot be opened."""
    paths = app_paths(options.data_dir)
    settings = SettingsService(SettingsFile(paths.settings_file), events := EventBus(), paths)
    lent = LentDevices(settings, events, options.lent)
    runtimes = RuntimeService(events, paths, lambda: hardware.report or detect_hardware(), lent, is_used=options.worker is None)
    worker = list(options.worker) if options.worker is not None else runtimes.worker_command
    sizes = KnownSizes(paths.cache)
    catalog = with_sizes(load_catalog(options.catalog or resources_dir() / "catalog" / "models.json"), sizes.all())
    gpu_table_file = resources_dir() / "catalog" / "gpus.json"
    store = open_store(paths.store_file)
    pool, hub = BackgroundPool(), HubService(settings)
    signed = _signed_fetch(options, paths, settings)
    library = LibraryService(events, store, settings)
    hardware = HardwareService(events, store, paths, worker, engine_pids=lambda: worker_pids(engine))
    dry_runs = _dry_runs(runtimes, paths, lent, is_possible=options.worker is None)
    headers = HeaderService(hub, paths.cache)
    calibration = CalibrationService(events, store, runtimes.build_name())
    facts = FitFacts(load_gpu_table(gpu_table_file), calibration)
    estimate = EstimateService(settings, hardware, library, hub, headers, facts, dry_runs)
    load_settings, chat_settings = LoadSettingsService(store, events), ChatSettingsService(store, events)
    tuning_memory = TuningMemory(store.tuning, runtimes.build_name, this_cpu)
    drafts = DraftPlanner(library, estimate, tuning_memory)
    load_planner = LoadPlanner(settings, library, estimate, load_settings, tuning_memory, drafts)
    sampling = SamplingService(store, events, settings, library, VendorSampling(catalog))
    set_ups = SafeSetUps(store, lambda: surroundings(runtimes.build_name(), hardware.report))
    states = PromptStates(events, paths.chat_states, lambda: settings.integer("chat_states_gb") * GB)
    engine = EngineService(
        events, WorkerProgram(worker, paths.worker_dir, itertools.count(1), set_ups, states),
        _engine_control(events, load_planner, settings, hardware, lambda: compare.comparisons.give_way()))
    benchmarks = BenchmarkService(
        events, store.benchmarks, hardware, load_planner, engine, (lambda: command_now(worker), paths.worker_dir))
    meter = AnswerMeter(lambda tokens: why_slow.tell(tokens))
    compare = _compare(events, store, ComparisonParts(
        settings, library, hardware, engine, ContestantPlanner(load_planner, dry_runs.rest), CellRequests(settings, sampling),
        meter, FileHashes(store.library), SideBySideMemory(store.library), set_ups, (worker, paths.worker_dir), benchmarks,
        paths.comparing_lock), load_planner)
    load_previews = LoadPreviews(library, estimate, hardware, load_settings, engine, drafts)
    why_slow = WhySlowService(engine, hardware, settings, LoadParts(load_previews, load_settings), calibration, benchmarks)
    return AppServices(
        paths=paths, events=events, pool=pool, store=store, settings=settings, hardware=hardware,
        discovery=DiscoveryService(
            events, pool, settings, catalog, estimate, lambda: hardware.report, lambda request: credited_now(request, engine)),
        library=library, downloads=DownloadsService(events, store, settings, hub, library),
        estimate=estimate, load_settings=load_settings, load_planner=load_planner, engine=engine, set_ups=set_ups,
        tuning=TuningService(events, TuningParts(settings, library, engine, tuning_memory, this_cpu)),
        idle_unloader=IdleUnloader(events, settings, engine),
        load_previews=load_previews, tuning_memory=tuning_memory, drafts=drafts,
        installed_fits=InstalledFits(events, pool, library, load_previews, lambda: hardware.report),
        chat=ChatService(events, store, ChatRequests(settings, chat_settings, sampling), library, engine, meter),
        chat_settings=chat_settings,
        sampling=sampling, hub=hub, runtimes=runtimes, headers=headers, lent=lent,
        lending=LendingService(events, settings, runtimes.lending_command, paths.worker_dir),
        packs=build_packs(events, paths, runtimes, signed, this_platform()),
        updates=_updates(events, settings, signed, paths, options.installation),
        variants=VariantEstimates(events, pool, hub, sizes, estimate, headers),
        dry_runs=dry_runs, calibration=calibration, recorder=MeasurementRecorder(events, engine, hardware, calibration),
        benchmarks=benchmarks, compare=compare, history=LiveHistory(events, engine), why_slow=why_slow, meter=meter,
        what_if=WhatIfService(catalog, estimate, gpu_table_file),
    )


def _signed_fetch(options: LaunchOptions, paths: AppPaths, settings: SettingsService) -> SignedFetch:
    """Fetches what this build's publishers sign; a build whose keys cannot be read believes nobody."""
    trust = options.trust
    if trust is None:
        try:
            trust = load_trust()
        except AppError as error:
            log.error("%s (%s)", error, error.detail)  # noqa: TRY400  words and detail are all there is to know
            trust = Trust()
    return SignedFetch(trust, SeenNumbers(paths.seen_documents), lambda: settings.text("proxy"))


def _updates(
    events: EventBus, settings: SettingsService, signed: SignedFetch, paths: AppPaths, installation: Installation | None,
) -> UpdateService:
    """What looks for newer versions."""
    memory = UpdateMemory(paths.update_record, paths.update_list)
    source = UpdateSource(signed, memory, paths.updates, __version__, installation or this_installation())
    return UpdateService(events, UpdateSteps(events, settings, source, memory), source, memory)


def _dry_runs(runtimes: RuntimeService, paths: AppPaths, lent: LentDevices, *, is_possible: bool) -> DryRunService:
    """Plans loads with the build in use; another worker than the program's own has nothing to plan with."""
    return DryRunService(
        runtimes.planner_command if is_possible else None, paths.worker_dir, paths.cache, build=runtimes.build_name,
        lent=(runtimes.lent_planner_command, lent))


def _engine_control(
    events: EventBus, planner: LoadPlanner, settings: SettingsService, hardware: HardwareService, give_way: Callable[[], None],
) -> EngineControl:
    """Loads models one after the other; a comparison gives way to them."""
    room = EngineRoom(lambda: room_rules(settings))
    return EngineControl(events, PlanAfterComparison(planner.plan, give_way), room, hardware.free_now)


def _compare(events: EventBus, store: Store, parts: ComparisonParts, planner: LoadPlanner) -> CompareServices:
    """What belongs to comparing models."""
    parts = replace(parts, measures_loss=lambda: losses.state.is_running)
    comparisons = ComparisonService(events, ComparisonKeeper(store.comparisons), parts)
    losses = _losses(events, store, parts, planner, lambda: comparisons.state.is_running)
    judging = JudgingService(events, JudgingParts(
        comparisons, parts.library, planner, parts.engine, parts.worker,
        lambda: "a benchmark runs" if parts.benchmarks.state.is_running
        else "files are being measured" if losses.state.is_running else ""))
    return CompareServices(
        comparisons=comparisons, drafts=CompareDrafts(store), losses=losses,
        leaderboard=LeaderboardService(events, comparisons), judging=judging,
        prompt_sets=PromptSetService(events, store.prompt_sets, store.conversations, resources_dir() / "prompts"))


def _losses(
    events: EventBus, store: Store, parts: ComparisonParts, planner: LoadPlanner, is_comparing: Callable[[], bool],
) -> LossService:
    """What measures smaller files and makes them."""
    command, folder = parts.worker

    def other_work() -> str:
        if is_comparing():
            return "models are being compared"
        return "a benchmark runs" if parts.benchmarks.state.is_running else ""

    return LossService(events, LossParts(
        parts.library, parts.engine, ScorePlanner(planner, lambda: parts.hardware.free_now().main_bytes), parts.hashes,
        store.losses, (lambda: command_now(command), folder), parts.settings, lambda: this_cpu().model, other_work))
