"""What is known of a repository's variants, and the rows that follow from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import msgspec

from localai_app.catalog.model import CatalogFile, CatalogModel
from localai_app.errors import AppError
from localai_app.fit.decide import unknown_result
from localai_app.fit.quality import loss_words
from localai_app.fit.result import Basis, FitResult, Request, Subject
from localai_app.gguf.header import GgufHeader
from localai_app.hardware.report import HardwareReport
from localai_app.hub.model import Repo, Variant
from localai_app.services.dry_run import DryRun
from localai_app.services.estimate_service import DryRunKey, EstimateService
from localai_app.services.subjects import remote_subject, scaled_subject
from localai_app.services.views import VariantRow

NOT_RUN = DryRun()


@dataclass(frozen=True, slots=True)
class KnownVariant:
    """One variant whose header was read: a subject, or why it has none; and what llama.cpp said of it."""

    subject: Subject | None = None
    problem: AppError | None = None
    run: DryRun = NOT_RUN
    planned_for: frozenset[DryRunKey] = frozenset()


@dataclass(slots=True)
class RepoFacts:
    """What was found out about one repository at one commit; its values are only ever replaced as a whole."""

    repo: Repo
    variants: dict[str, KnownVariant] = field(default_factory=dict)
    problem: AppError | None = None
    """Why the rest could not be read: the Hub, not a file."""
    fits: dict[str, tuple[Request, tuple[object, ...], FitResult | None]] = field(default_factory=dict)
    """The last fit of each row, and what it was made from: while one row gets better figures, the others need no new sum."""

    def missing(self, variants: Sequence[Variant]) -> tuple[Variant, ...]:
        """Those whose header was not read yet."""
        return tuple(variant for variant in variants if variant.label not in self.variants)

    def is_usable(self, variant: Variant) -> bool:
        """Whether its header was read and describes a model."""
        known = self.variants.get(variant.label)
        return known is not None and known.subject is not None

    def unplanned(self, key: DryRunKey, variants: Sequence[Variant]) -> list[Variant]:
        """Those that were read and not yet planned for such a request."""
        known = ((variant, self.variants.get(variant.label)) for variant in variants)
        return [
            variant for variant, one in known
            if one is not None and one.subject is not None and key not in one.planned_for]

    def note_header(self, variant: Variant, answer: list[GgufHeader] | AppError) -> None:
        """A variant's own header, or why it cannot be used."""
        try:
            if isinstance(answer, AppError):
                raise answer
            known = KnownVariant(subject=remote_subject(self.repo, variant, answer))
        except AppError as error:
            known = KnownVariant(problem=error)
        self.variants[variant.label] = known

    def note_projector(self, projector: GgufHeader) -> None:
        """The image or audio part that goes with every variant."""
        n_bytes = sum(tensor.n_bytes for tensor in projector.tensors)
        for label, known in self.variants.items():
            if known.subject is not None:
                weights = msgspec.structs.replace(known.subject.weights, projector_bytes=n_bytes)
                subject = msgspec.structs.replace(known.subject, weights=weights)
                self.variants[label] = replace(known, subject=subject)

    def note_run(self, variant: Variant, key: DryRunKey, run: DryRun) -> None:
        """What llama.cpp said of a variant whose header is known."""
        known = self.variants[variant.label]
        self.variants[variant.label] = replace(known, run=run, planned_for=known.planned_for | {key})


def rows_of(
    facts: RepoFacts, estimate: EstimateService, request: Request, model: CatalogModel | None, *, is_refining: bool,
    hardware: HardwareReport | None = None,
) -> tuple[VariantRow, ...]:
    """One row per variant, smallest first: from its own header, else from its size. Within milliseconds.

    `hardware` None: on this computer.
    """
    key, can_fit = estimate.plan_key(request, hardware), estimate.circumstances.report is not None or hardware is not None
    rows = []
    for variant in facts.repo.variants:
        known = facts.variants.get(variant.label)
        is_done = known is not None and (known.problem is not None or key in known.planned_for)
        rows.append(VariantRow(
            label=variant.label, size_bytes=variant.size_bytes, size_is_exact=True, loss_words=loss_words(variant.label),
            fit=_kept_fit(facts, variant, estimate, request, model, hardware) if can_fit else None,
            is_refining=is_refining and not is_done))
    return tuple(rows)


def fit_from_size(
    facts: RepoFacts, variant: Variant, estimate: EstimateService, request: Request, model: CatalogModel | None,
    hardware: HardwareReport | None = None,
) -> FitResult | None:
    """As long as only a sister's header is known, or the catalog's dimensions; None where neither is."""
    base = _nearest(facts, variant)
    if base is not None and base.subject is not None:
        # Caches and buffers are those of the sister, which has the same dimensions; rearranged weights are not.
        run = replace(base.run, planned=base.run.planned and base.run.planned.without_repacked())
        result = estimate.fit_planned(scaled_subject(base.subject, variant), run, request, hardware)
        reason = f"The weights are estimated from the size of the file and from the header of {base.subject.label}."
    elif model is not None and model.geometry is not None:
        file = CatalogFile(label=variant.label, size_bytes=variant.size_bytes, source="the Hub", is_exact=True)
        result = estimate.fit_catalog(model, file, request, hardware)
        reason = ""
    else:
        return None
    reasons = (*result.reasons, reason) if reason and result.total_bytes else result.reasons
    return msgspec.structs.replace(result, basis=Basis.CATALOG, reasons=reasons)


def _kept_fit(
    facts: RepoFacts, variant: Variant, estimate: EstimateService, request: Request, model: CatalogModel | None,
    hardware: HardwareReport | None,
) -> FitResult | None:
    """The fit of a row: the last one if nothing that it was made from has changed."""
    known = facts.variants.get(variant.label)
    made_from = (known or _nearest(facts, variant), known is None, model, hardware, *estimate.circumstances)
    before = facts.fits.get(variant.label)
    if before is not None and before[0] == request and all(a is b for a, b in zip(before[1], made_from, strict=True)):
        return before[2]
    fit = _fit(facts, variant, estimate, request, model, hardware)
    facts.fits[variant.label] = request, made_from, fit
    return fit


def _fit(
    facts: RepoFacts, variant: Variant, estimate: EstimateService, request: Request, model: CatalogModel | None,
    hardware: HardwareReport | None,
) -> FitResult | None:
    known = facts.variants.get(variant.label)
    if known is None:
        return fit_from_size(facts, variant, estimate, request, model, hardware)
    if known.subject is None:
        assert known.problem is not None
        result = unknown_result(known.problem.message, request)
        return msgspec.structs.replace(result, remedies=("Choose another variant.",))
    return estimate.fit_planned(known.subject, known.run, request, hardware)


def _nearest(facts: RepoFacts, variant: Variant) -> KnownVariant | None:
    """The variant of a known header that is nearest in size, apart from the variant itself."""
    known = [
        (abs(other.size_bytes - variant.size_bytes), other.label) for other in facts.repo.variants
        if other != variant and (one := facts.variants.get(other.label)) is not None and one.subject is not None]
    return facts.variants[min(known)[1]] if known else None
