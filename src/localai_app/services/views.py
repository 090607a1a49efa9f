"""What services hand to the window and the command line: frozen values, ready to show."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from localai_app.catalog.model import CatalogFile, CatalogModel
from localai_app.catalog.tasks import Task
from localai_app.engine.protocol import Loaded, LoadOptions
from localai_app.errors import AppError
from localai_app.fit.result import FitResult


class SuggestionKind(StrEnum):
    """Why a model is suggested."""

    BEST_ANSWERS = "best_answers"
    BALANCED = "balanced"
    FASTEST = "fastest"


@dataclass(frozen=True, slots=True)
class DiscoveryRow:
    """A catalog model with the variant that is best on this machine; `file` and `fit` are None where nothing is known."""

    model: CatalogModel
    file: CatalogFile | None
    fit: FitResult | None
    fits: tuple[FitResult | None, ...] = ()
    """Of every variant, in the order of `model.files`."""

    def fit_of(self, label: str) -> FitResult | None:
        """The fit of one variant; None where it is not known."""
        return next((fit for file, fit in zip(self.model.files, self.fits, strict=False) if file.label == label), None)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One card of the first page."""

    kind: SuggestionKind
    model: CatalogModel
    file: CatalogFile
    fit: FitResult
    reason: str
    """One sentence: why this one."""


@dataclass(frozen=True, slots=True)
class Suggestions:
    """Up to three cards for a task, and how many models of the catalog would run here.

    All of it was computed with one report, so that no two cards tell of different free memory.
    """

    cards: tuple[Suggestion, ...]
    runnable_count: int
    total_count: int
    task: Task = Task.CHAT


@dataclass(frozen=True, slots=True)
class VariantRow:
    """One variant of a repository or catalog model with its fit on this machine."""

    label: str
    size_bytes: int
    size_is_exact: bool
    loss_words: str
    """practically the original, good, noticeable, ...; empty where unknown."""
    fit: FitResult | None
    is_refining: bool = False
    """Better figures, or any at all, are on their way."""


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """A model on this disk. `key` is what commands and conversations name it by: owner/repo:LABEL, or its path."""

    key: str
    name: str
    """For people: repository name without owner, or the file's stem."""
    label: str
    """Quantization label, or empty."""
    repo_id: str
    paths: tuple[Path, ...]
    """All parts in order; the first one is loaded."""
    size_bytes: int
    source: str
    """Local AI (in the models folder), Linked file, LM Studio, Hugging Face cache, ..."""
    is_complete: bool = True
    """False: a part of a split file is missing."""
    last_used_s: float | None = None
    tps: float | None = None


class DownloadStatus(StrEnum):
    """Where a download stands, for the screen."""

    WAITING = "waiting"
    DOWNLOADING = "downloading"
    VERIFYING = "verifying"
    PAUSED = "paused"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class DownloadView:
    """One unfinished download. `eta_s` and `bytes_per_s` are None while unknown."""

    id: int
    repo_id: str
    label: str
    status: DownloadStatus
    done_bytes: int
    total_bytes: int
    bytes_per_s: float | None
    eta_s: float | None
    error: AppError | None


class EngineStatus(StrEnum):
    """What the engine is doing."""

    NONE = "none"
    LOADING = "loading"
    READY = "ready"
    ANSWERING = "answering"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class EngineState:
    """The engine now. `fraction` is the share of the weights read while loading."""

    status: EngineStatus
    model_key: str = ""
    model_name: str = ""
    loaded: Loaded | None = None
    fraction: float = 0.0
    error: AppError | None = None
    context_used: int = 0
    tps: float | None = None
    """Of the running or the last answer."""
    options: LoadOptions | None = None
    """How the model is, or is being, loaded."""
    fit: FitResult | None = None
    """The advice behind the options; None where it was loaded in spite of it."""
    steps: tuple[str, ...] = ()
    """What failed on the way and what was tried instead, a sentence for each set-up after the planned one."""
    reduced: str = ""
    """What the set-up in force gives up against the plan, as part of a sentence; empty where it is as planned."""
    may_be_tried: bool = False
    """The load was held back by what is known of the model before the engine was asked: it can be tried anyway."""

    @property
    def is_alive(self) -> bool:
        """Whether the model can answer."""
        return self.status in (EngineStatus.READY, EngineStatus.ANSWERING)


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """One of the models that are loaded side by side."""

    state: EngineState
    pid: int | None
    """Of its worker; None while none runs."""
    used_s: float
    """When it was asked or answered last, by the monotonic clock."""

    @property
    def key(self) -> str:
        """The key of the model."""
        return self.state.model_key
