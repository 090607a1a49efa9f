"""Does it fit? For a file on this disk, a variant on the Hub, or a model of the catalog."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from localai_app import errors
from localai_app.catalog.model import CatalogFile, CatalogModel
from localai_app.engine.protocol import KvType, LoadOptions, PlannedBuffer
from localai_app.errors import AppError
from localai_app.fit.calibration import NO_CALIBRATION, Calibration
from localai_app.fit.decide import Machine, decide_on, machine_of, unknown_result
from localai_app.fit.gpu_table import GpuTable
from localai_app.fit.projector import counted_subject, with_projector_told
from localai_app.fit.result import FitResult, Request, Subject
from localai_app.gguf.header import GgufHeader
from localai_app.hardware.report import HardwareReport
from localai_app.hub.model import Repo, Variant
from localai_app.services.calibration import CalibrationService
from localai_app.services.dry_run import DryRun, DryRunService
from localai_app.services.exact_plan import exact_fit
from localai_app.services.hardware_service import HardwareService
from localai_app.services.header_service import HeaderService
from localai_app.services.hub_service import HubService
from localai_app.services.library_service import LibraryService
from localai_app.services.settings_service import SettingsService
from localai_app.services.subjects import catalog_subject, installed_subject, remote_subject
from localai_app.services.views import InstalledModel

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FitFacts:
    """What predictions rest on besides the model and the computer."""

    gpu_table: GpuTable
    calibration: CalibrationService


class DryRunKey(NamedTuple):
    """What a dry run of a model on this machine depends on."""

    ctx: int
    kv_type: KvType
    ubatch: int
    gpu: str


class Circumstances(NamedTuple):
    """This machine as far as it is known, and what was measured on it."""

    report: HardwareReport | None
    calibration: Calibration


class EstimateService:
    """Gathers what `fit` needs and asks it."""

    def __init__(
        self, settings: SettingsService, hardware: HardwareService, library: LibraryService, hub: HubService,
        headers: HeaderService, facts: FitFacts, dry_runs: DryRunService,
    ) -> None:
        self._settings = settings
        self._hardware = hardware
        self._library = library
        self._hub = hub
        self._headers = headers
        self._facts = facts
        self._dry_runs = dry_runs
        self._kept_machine: tuple[Request, Machine] | None = None

    def default_request(self) -> Request:
        """What the settings ask for."""
        layers = self._settings.integer("gpu_layers")
        return Request(
            default_ctx=self._settings.integer("context_tokens"),
            kv_type=KvType(self._settings.text("kv_type")),
            gpu_layers=None if layers < 0 else layers,
        )

    def fit_subject(
        self, subject: Subject, request: Request | None = None, hardware: HardwareReport | None = None,
    ) -> FitResult:
        """Fit any subject on this machine, or on the given one."""
        wanted = request or self.default_request()
        counted = counted_subject(subject, wanted)
        report = self._report(hardware)
        return with_projector_told(decide_on(self._machine(report, wanted), counted, wanted), subject, wanted)

    def _machine(self, report: HardwareReport, request: Request) -> Machine:
        """The computer as plans see it; kept for the next model, because lists ask about hundreds in a row."""
        # What was measured on this computer says nothing about another one.
        is_here = _is_same_computer(report, self._hardware.report)
        calibration = self._facts.calibration.calibration if is_here else NO_CALIBRATION
        kept = self._kept_machine
        if kept is not None and kept[0] == request and kept[1].hardware is report and kept[1].calibration is calibration:
            return kept[1]
        machine = machine_of(report, request, self._facts.gpu_table, calibration=calibration)
        self._kept_machine = (request, machine)
        return machine

    def fit_installed(self, key: str, request: Request | None = None, hardware: HardwareReport | None = None) -> FitResult:
        """Fit of an installed model or a .gguf path, from llama.cpp's plan of its header; AppError if the header is refused.

        May take a second.
        """
        model = self._library.get(key)
        headers = self._headers.of_installed(model)
        return self._fit_planned(installed_subject(model, headers), headers, request, hardware)

    def headers_of(self, model: InstalledModel) -> list[GgufHeader]:
        """The headers of an installed model for `fit_headers`; AppError if one is refused or a part is missing."""
        return self._headers.of_installed(model)

    def fit_headers(
        self, model: InstalledModel, headers: Sequence[GgufHeader], request: Request, *, asks_engine: bool,
    ) -> FitResult:
        """Fit of an installed model whose headers were read: at once from what is known, or after asking llama.cpp.

        AppError if the header does not describe a model.
        """
        subject = installed_subject(model, headers)
        if asks_engine:
            return self._fit_planned(subject, headers, request, None)
        known = self._dry_runs.known(headers, ubatch=max(1, request.ubatch), gpu=self._gpu_for(None))
        return self.fit_subject(msgspec.structs.replace(subject, planned=known), request)

    def fit_catalog(
        self, model: CatalogModel, file: CatalogFile, request: Request | None = None, report: HardwareReport | None = None,
    ) -> FitResult:
        """Fit of a catalog entry from its dimensions; `report`: of this computer at one moment, for fits that go together."""
        return self.fit_subject(catalog_subject(model, file), request, report)

    def fit_repo_variant(
        self, repo_id: str, label: str | None, request: Request | None = None, hardware: HardwareReport | None = None,
    ) -> FitResult:
        """Fit of one variant on the Hub from llama.cpp's plan of its header, read by ranges before anything is downloaded."""
        repo = self._hub.repo(repo_id)
        variant = choose_variant(repo, label)
        headers = self._headers.of_remote(repo, variant)
        projector = self._headers.of_projector(repo, headers[0])
        subject = remote_subject(repo, variant, headers if projector is None else [*headers, projector])
        return self._fit_planned(subject, headers, request, hardware)

    def fit_for_load(self, model: InstalledModel, request: Request | None = None) -> FitResult:
        """Fit of an installed model with the memory that is free at this moment; AppError if a header is refused."""
        headers, wanted = self._headers.of_installed(model), request or self.default_request()
        # Where the dry run was refused, the load itself will say why in its own words.
        run = self._dry_run(headers, wanted, None)
        # What another model held a moment ago may be free now.
        now = self._hardware.report_now()
        subject = msgspec.structs.replace(installed_subject(model, headers), planned=run.planned)
        return self.fit_subject(subject, wanted, now) if run.is_final else self._fit_exactly(subject, headers, wanted, now)

    def _report(self, hardware: HardwareReport | None) -> HardwareReport:
        return hardware or self._hardware.report or self._hardware.detect_now(with_engine=False)

    def _fit_planned(
        self, subject: Subject, headers: Sequence[GgufHeader], request: Request | None, hardware: HardwareReport | None,
    ) -> FitResult:
        """Fit from llama.cpp's own figures; from the header's where it cannot be asked, with the reason."""
        wanted, report = request or self.default_request(), self._report(hardware)
        run = self._dry_run(headers, wanted, hardware)
        if run.refusal is not None:
            return self.fit_planned(subject, run, wanted, report)
        return self._fit_exactly(msgspec.structs.replace(subject, planned=run.planned), headers, wanted, report)

    def _fit_exactly(
        self, subject: Subject, headers: Sequence[GgufHeader], request: Request, report: HardwareReport,
    ) -> FitResult:
        """Fit whose placement on GPUs llama.cpp was asked about; it refuses those of another computer."""
        asked = []

        def plan(options: LoadOptions) -> tuple[PlannedBuffer, ...] | None:
            asked.append(options)
            return self._dry_runs.placed(headers, options)

        result = exact_fit(plan, counted_subject(subject, request), request, self._machine(report, request))
        if asked:
            self._dry_runs.rest()
        return with_projector_told(result, subject, request)

    @property
    def circumstances(self) -> Circumstances:
        """What a fit here depends on besides its model and request: the same objects as long as nothing changed."""
        return Circumstances(self._hardware.report, self._facts.calibration.calibration)

    def plan_key(self, request: Request, hardware: HardwareReport | None = None) -> DryRunKey:
        """Names the dry run that a request needs here, or for another computer."""
        return DryRunKey(
            request.ctx or request.default_ctx, request.kv_type, max(1, request.ubatch), self._gpu_for(hardware))

    def dry_run(
        self, headers: Sequence[GgufHeader], request: Request, hardware: HardwareReport | None = None,
    ) -> DryRun:
        """llama.cpp's own plan of a header on this machine, one of several: `end_dry_runs` after the last one.

        At once where it was asked before, else in up to a second. `hardware`: another computer, for whose GPUs nothing is
        planned here.
        """
        return self._dry_run(headers, request, hardware, rests=False)

    def end_dry_runs(self) -> None:
        """Give back the memory of a GPU that planning for it takes."""
        report = self._hardware.report
        if report is not None and _gpu_to_plan(report):
            self._dry_runs.rest()

    def fit_planned(
        self, subject: Subject, run: DryRun, request: Request, hardware: HardwareReport | None = None,
    ) -> FitResult:
        """Fit from llama.cpp's figures; from the header's, with the reason, where it refused to plan. Within a millisecond."""
        if run.refusal is not None and run.is_final:
            return unknown_result(run.refusal.message, request)
        result = self.fit_subject(msgspec.structs.replace(subject, planned=run.planned), request, hardware)
        if run.refusal is None:
            return result
        reason = f"The figures come from the file's header, because llama.cpp did not plan it: {run.refusal.message}"
        return msgspec.structs.replace(result, reasons=(*result.reasons, reason))

    def _dry_run(
        self, headers: Sequence[GgufHeader], request: Request, hardware: HardwareReport | None, *, rests: bool = True,
    ) -> DryRun:
        return self._dry_runs.run(
            headers, ctx=request.ctx or request.default_ctx, kv_type=request.kv_type, ubatch=max(1, request.ubatch),
            gpu=self._gpu_for(hardware), rests=rests)

    def _gpu_for(self, hardware: HardwareReport | None) -> str:
        """llama.cpp's name of the GPU for which to plan; empty where it sees none, and for those of another computer."""
        here = self._hardware.report
        return _gpu_to_plan(here) if here is not None and (hardware is None or hardware is here) else ""


def choose_variant(repo: Repo, label: str | None) -> Variant:
    """The variant that `label` names, in any case; the only one if there is just one; AppError otherwise."""
    if not repo.variants:
        raise AppError(errors.REPO_HAS_NO_GGUF, repo=repo.repo_id)
    choices = ", ".join(variant.label for variant in repo.variants)
    if label is None:
        if len(repo.variants) == 1:
            return repo.variants[0]
        preferred = [variant for variant in repo.variants if variant.label == "Q4_K_M"]
        if preferred:
            return preferred[0]
        raise AppError(errors.VARIANT_AMBIGUOUS, repo=repo.repo_id, choices=choices)
    for variant in repo.variants:
        if variant.label.lower() == label.lower():
            return variant
    raise AppError(errors.VARIANT_UNKNOWN, repo=repo.repo_id, variant=label, choices=choices)


def _gpu_to_plan(report: HardwareReport) -> str:
    """llama.cpp's name of the GPU for which to plan; empty where it sees none."""
    devices = report.engine_devices or ()
    return next((device.name for device in devices if device.kind in ("gpu", "integrated_gpu")), "")


def _is_same_computer(report: HardwareReport, here: HardwareReport | None) -> bool:
    """Whether a report is of this computer, at any moment: with other free memory, or before llama.cpp was asked."""
    return report is here or (
        here is not None and _parts_of(report) == _parts_of(here) and report.engine_devices in (None, here.engine_devices))


def _parts_of(report: HardwareReport) -> tuple[object, ...]:
    gpus = tuple((gpu.name, gpu.total_bytes) for gpu in report.gpus)
    return report.cpu, report.memory.total_bytes, gpus
