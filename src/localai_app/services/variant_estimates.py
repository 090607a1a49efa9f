"""The variants of a repository, fitted: at once from what is known, then each from its own header and llama.cpp's own plan."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field

from localai_app import errors
from localai_app.catalog.model import CatalogModel
from localai_app.errors import AppError
from localai_app.fit.difference import basis_reason
from localai_app.fit.result import Basis, FitResult, Request
from localai_app.hardware.report import HardwareReport
from localai_app.hub.model import Repo, Variant
from localai_app.progress import Cancelled, CancelToken
from localai_app.services.background import BackgroundPool
from localai_app.services.estimate_service import EstimateService
from localai_app.services.events import EventBus, SizesLearned, VariantsRefined
from localai_app.services.header_service import HeaderService
from localai_app.services.hub_service import HubService
from localai_app.services.known_sizes import KnownSizes
from localai_app.services.variant_rows import RepoFacts, fit_from_size, rows_of
from localai_app.services.views import VariantRow

SETTLE_S = 0.4
"""A request that stands this long is planned for every variant, so that a slider that moves plans nothing."""
MAX_REPOS = 12
_FILE_FAULTS = frozenset({
    errors.NOT_A_GGUF.code, errors.GGUF_TRUNCATED.code, errors.GGUF_REFUSED.code, errors.HUB_BAD_ANSWER.code})
"""Faults of one file. With any other the next file would fail as well, so no more is asked."""


@dataclass(slots=True)
class _Job:
    """What is being found out for the repository on the screen."""

    facts: RepoFacts
    request: Request
    order: tuple[Variant, ...]
    cancel: CancelToken = field(default_factory=CancelToken)
    is_running: bool = True


class VariantEstimates:
    """Refines one repository at a time in the background; another one that is opened takes its place.

    Publishes VariantsRefined when a row has better figures, and when there is nothing left to do.
    """

    def __init__(
        self, events: EventBus, pool: BackgroundPool, hub: HubService, sizes: KnownSizes, estimate: EstimateService,
        headers: HeaderService,
    ) -> None:
        self._events = events
        self._pool = pool
        self._hub = hub
        self._sizes = sizes
        self._estimate = estimate
        self._headers = headers
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, str], RepoFacts] = OrderedDict()
        self._job: _Job | None = None
        self._is_closed = False

    def close(self) -> None:
        """Give up what is under way."""
        self._is_closed = True
        self.leave()

    def leave(self) -> None:
        """Nothing is on the screen any more that has to be refined."""
        with self._lock:
            if self._job is not None:
                self._job.cancel.cancel()
                self._job = None

    def find(self, repo_id: str) -> Repo:
        """A repository with the sizes of its variants, from the Hub; AppError if it cannot be had or has none."""
        repo = self._hub.repo(repo_id)
        if not repo.variants:
            raise AppError(errors.REPO_HAS_NO_GGUF, repo=repo.repo_id)
        if self._sizes.note(repo):
            sizes = {variant.label: variant.size_bytes for variant in repo.variants}
            self._events.publish(SizesLearned(repo.repo_id, sizes))
        return repo

    def open(self, repo: Repo, request: Request | None = None, first: str = "") -> None:
        """Refine the rows of a repository for a request (None: the settings), the variant called `first` before the others.

        Returns at once. What could not be read before is asked for again.
        """
        self.leave()
        with self._lock:
            if self._is_closed:
                return
            order = tuple(sorted(repo.variants, key=lambda variant: variant.label != first))
            self._job = job = _Job(self._facts_of(repo), request or self._estimate.default_request(), order)
        self._pool.submit(lambda: self._run(job, self._refine))

    def follow(self, request: Request | None = None) -> None:
        """Another context or KV type was chosen for the repository that is open: plan for it what has no plan yet."""
        with self._lock:
            job = self._job
            if job is None:
                return
            job.request = request or self._estimate.default_request()
            key = self._estimate.plan_key(job.request)
            if job.is_running or not job.facts.unplanned(key, job.order):
                return
            job.is_running = True
        self._pool.submit(lambda: self._run(job, self._plan_wishes))

    def rows(
        self, repo: Repo, request: Request | None = None, model: CatalogModel | None = None,
    ) -> tuple[VariantRow, ...]:
        """All variants from what is known now, within milliseconds. `model`: the catalog's entry, for the time before that."""
        with self._lock:
            facts, job = self._facts_of(repo), self._job
            is_refining = job is not None and job.facts is facts and job.is_running
        return rows_of(facts, self._estimate, request or self._estimate.default_request(), model, is_refining=is_refining)

    def explained(
        self, repo: Repo, label: str, fit: FitResult, request: Request | None = None, model: CatalogModel | None = None,
    ) -> FitResult:
        """The fit of one row, and in its reasons how far off the estimate from its size was."""
        variant = next((one for one in repo.variants if one.label == label), None)
        if variant is None or fit.basis is Basis.CATALOG:
            return fit
        with self._lock:
            facts = self._facts_of(repo)
        rough = fit_from_size(facts, variant, self._estimate, request or self._estimate.default_request(), model)
        return basis_reason(fit, rough) if rough is not None else fit

    def problem(self, repo: Repo) -> AppError | None:
        """Why headers of a repository could not be read; what is wrong with one file is told in its row instead."""
        with self._lock:
            return self._facts_of(repo).problem

    def read(
        self, repo: Repo, request: Request | None = None, *, quick: bool = False, hardware: HardwareReport | None = None,
    ) -> tuple[VariantRow, ...]:
        """All variants from their own headers and plans, in the calling thread: seconds to minutes.

        `quick`: one header only, the others' weights in proportion to their sizes. `hardware` None: on this computer.
        AppError if the Hub cannot be asked.
        """
        wanted = request or self._estimate.default_request()
        with self._lock:
            facts = self._facts_of(repo)
        wanted_variants = repo.variants[:1] if quick else repo.variants
        for variant in self._read_headers(facts, wanted_variants, CancelToken()):
            self._plan(facts, variant, wanted, hardware)
        for variant in facts.unplanned(self._estimate.plan_key(wanted, hardware), wanted_variants):
            self._plan(facts, variant, wanted, hardware)
        self._estimate.end_dry_runs()
        if facts.problem is not None:
            raise facts.problem
        return rows_of(facts, self._estimate, wanted, None, is_refining=False, hardware=hardware)

    def _facts_of(self, repo: Repo) -> RepoFacts:
        """Called with the lock held."""
        key = (repo.repo_id, repo.commit)
        facts = self._known.setdefault(key, RepoFacts(repo))
        self._known.move_to_end(key)
        while len(self._known) > MAX_REPOS:
            self._known.popitem(last=False)
        return facts

    def _run(self, job: _Job, steps: Callable[[_Job], None]) -> None:
        """In a thread of the pool."""
        try:
            steps(job)
        except (Cancelled, CancelledError):
            pass
        except Exception:
            with self._lock:
                job.is_running = False
            raise
        finally:
            # That it does not run any more is said where it ends: `follow` may have begun another run since.
            self._estimate.end_dry_runs()
            self._tell(job)

    def _refine(self, job: _Job) -> None:
        """Every header, each with its plan as soon as it is there; then what was asked for in the meantime."""
        for variant in self._read_headers(job.facts, job.order, job.cancel):
            self._tell(job)
            self._plan(job.facts, variant, job.request)
            self._tell(job)
        self._plan_wishes(job)

    def _plan_wishes(self, job: _Job) -> None:
        """Plans for the request that stands, until nothing is missing for it."""
        while (variants := self._unplanned_when_settled(job)):
            request = job.request
            for variant in variants:
                job.cancel.raise_if_cancelled()
                if job.request != request:
                    break
                self._plan(job.facts, variant, request)
                self._tell(job)

    def _unplanned_when_settled(self, job: _Job) -> list[Variant]:
        """Waits until the request stands still; ends the job where nothing is missing for it."""
        request = None
        while request != job.request:
            request = job.request
            if job.cancel.wait(SETTLE_S):
                raise Cancelled
        with self._lock:
            variants = job.facts.unplanned(self._estimate.plan_key(job.request), job.order)
            job.is_running = bool(variants)
            return variants

    def _read_headers(self, facts: RepoFacts, variants: Sequence[Variant], cancel: CancelToken) -> Iterator[Variant]:
        """Each variant whose header has now become known. Ends early where the Hub cannot be asked."""
        facts.problem = None
        for variant, answer in self._headers.of_each(facts.repo, facts.missing(variants), cancel):
            if isinstance(answer, AppError) and answer.code not in _FILE_FAULTS:
                facts.problem = answer
                return
            facts.note_header(variant, answer)
            yield variant
        self._read_projector(facts)

    def _read_projector(self, facts: RepoFacts) -> None:
        read = next((one for one in facts.repo.variants if facts.is_usable(one)), None)
        if read is None or not facts.repo.projectors:
            return
        projector = self._headers.of_projector(facts.repo, self._headers.of_remote(facts.repo, read)[0])
        if projector is not None:
            facts.note_projector(projector)

    def _plan(
        self, facts: RepoFacts, variant: Variant, request: Request, hardware: HardwareReport | None = None,
    ) -> None:
        key = self._estimate.plan_key(request, hardware)
        if not facts.unplanned(key, (variant,)):
            return
        try:
            run = self._estimate.dry_run(self._headers.of_remote(facts.repo, variant), request, hardware)
        except AppError:
            # The header that was there a moment ago is gone and cannot be read again: what it said is still known.
            run = facts.variants[variant.label].run
        facts.note_run(variant, key, run)

    def _tell(self, job: _Job) -> None:
        if not job.cancel.is_cancelled:
            self._events.publish(VariantsRefined(job.facts.repo.repo_id))
