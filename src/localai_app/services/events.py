"""What services tell the world. Published from any thread; `gui.bridge` turns each into a queued signal."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from localai_app.compare.comparison import CellKey
from localai_app.engine.outcome import WorkerOutcome
from localai_app.engine.protocol import Channel, GenerationStats, Loaded, TokenLogprob, TokensCounted
from localai_app.errors import AppError
from localai_app.hardware.report import Gpu, HardwareReport, Memory
from localai_app.store.records import Message
from localai_app.units import format_gib

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HardwareReported:
    """A full probe finished."""

    report: HardwareReport


@dataclass(frozen=True, slots=True)
class MemoryMeasured:
    """The live gauges: memory now, and what the workers of loaded models hold of main memory (bytes)."""

    memory: Memory
    gpus: tuple[Gpu, ...]
    engine_rss_bytes: int
    """Of all loaded models together."""
    engines: tuple[tuple[str, int], ...] = ()
    """The same for each of them: (model key, bytes)."""


@dataclass(frozen=True, slots=True)
class SuggestionsChanged:
    """Suggestions were computed anew; read them from DiscoveryService."""


@dataclass(frozen=True, slots=True)
class VariantsRefined:
    """More is known of the variants of a repository; read them from VariantEstimates."""

    repo_id: str


@dataclass(frozen=True, slots=True)
class SizesLearned:
    """The Hub gave other sizes of a repository's variants than were known: bytes by label."""

    repo_id: str
    sizes: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class LibraryChanged:
    """A model was added, removed or used; read the list from LibraryService."""


@dataclass(frozen=True, slots=True)
class DownloadChanged:
    """One download moved or changed its state; `download_id` as in DownloadsService.downloads()."""

    download_id: int


@dataclass(frozen=True, slots=True)
class DownloadFinished:
    """All files of a download are in place; `model_key` names the installed model."""

    download_id: int
    model_key: str


@dataclass(frozen=True, slots=True)
class EngineChanged:
    """The engine's state changed: read it from EngineService.state."""


@dataclass(frozen=True, slots=True)
class ModelLoaded:
    """A model is ready to answer."""

    model_key: str
    info: Loaded


@dataclass(frozen=True, slots=True)
class AnswerTimed:
    """The engine finished an answer, whoever asked for it; its counts and seconds."""

    model_key: str
    stats: GenerationStats


@dataclass(frozen=True, slots=True)
class MeasurementsChanged:
    """Something was measured or forgotten, so predictions may change; read it from CalibrationService."""


@dataclass(frozen=True, slots=True)
class TuningChanged:
    """It was measured how a model runs fastest here; read it from TuningMemory."""

    model_key: str


@dataclass(frozen=True, slots=True)
class EngineFailed:
    """The engine died or could not load; the error is in words."""

    model_key: str
    error: AppError


@dataclass(frozen=True, slots=True)
class SharingChanged:
    """Devices began or ceased to be lent, here or by others; read it from LendingService and LentDevices."""


@dataclass(frozen=True, slots=True)
class PacksChanged:
    """Something moved with the runtime packs; read it from PackService.state."""


@dataclass(frozen=True, slots=True)
class WorkerDied:
    """The worker of a model ended by itself; EngineFailed says the same in words."""

    model_key: str
    outcome: WorkerOutcome


@dataclass(frozen=True, slots=True)
class LoadStepped:
    """A load failed and a smaller set-up is tried in a fresh worker; the sentence says what and why."""

    model_key: str
    sentence: str


class UnloadReason(StrEnum):
    """Why a worker was ended."""

    WISH = "wish"
    ROOM = "room"
    """For another model."""
    IDLE = "idle"


@dataclass(frozen=True, slots=True)
class ModelUnloaded:
    """A model's worker is gone. What was free less before is measured, on all devices, in bytes."""

    model_key: str
    model_name: str
    reason: UnloadReason
    freed_main_bytes: int
    freed_gpu_bytes: int

    @property
    def sentence(self) -> str:
        """What happened, for people."""
        why = {UnloadReason.ROOM: " to make room", UnloadReason.IDLE: ", because nobody used it"}.get(self.reason, "")
        freed = [f"{format_gib(self.freed_gpu_bytes)} on the GPU"] if self.freed_gpu_bytes else []
        if self.freed_main_bytes or not freed:
            freed.append(f"{format_gib(self.freed_main_bytes)} of memory")
        return f"{self.model_name} was unloaded{why}: {' and '.join(freed)} free again."


@dataclass(frozen=True, slots=True)
class MessageAdded:
    """A message was written to a conversation (a user's, or an answer about to stream)."""

    message: Message


@dataclass(frozen=True, slots=True)
class AnswerProgressed:
    """New text of a streaming answer."""

    conversation_id: int
    message_id: int
    text: str
    """Only what is new."""
    stats: GenerationStats
    channel: Channel = Channel.ANSWER
    takes_back: bool = False
    """All of the answer so far was thinking."""
    logprobs: tuple[TokenLogprob, ...] = ()
    """Of the tokens of `text`, where the chat asks for them."""


@dataclass(frozen=True, slots=True)
class ContextChecked:
    """How long a chat would be with a message that is being written; `conversation_id` None for an unsaved chat."""

    conversation_id: int | None
    draft: str
    """The message as it was when it was counted."""
    counted: TokensCounted
    words: str
    """What will be left out or refused if it is sent now; empty where all of it fits."""


@dataclass(frozen=True, slots=True)
class AnswerEnded:
    """An answer is complete, stopped or interrupted; the message is as stored."""

    message: Message
    error: AppError | None = None


@dataclass(frozen=True, slots=True)
class ConversationsChanged:
    """The list of conversations changed."""


@dataclass(frozen=True, slots=True)
class ConversationDeleted:
    """A chat was deleted; it may come back by `undo`."""

    conversation_id: int


@dataclass(frozen=True, slots=True)
class SettingChanged:
    """One setting has a new value."""

    key: str


@dataclass(frozen=True, slots=True)
class LoadSettingsChanged:
    """One model is to be loaded in another way from now on; read it from LoadSettingsService."""

    model_key: str


@dataclass(frozen=True, slots=True)
class ChatSettingsChanged:
    """Something is set otherwise for one chat; read it from ChatSettingsService."""

    conversation_id: int


@dataclass(frozen=True, slots=True)
class SamplingChanged:
    """The sampling of one model is set otherwise (its key), or the presets are (""); read it from SamplingService."""

    model_key: str


@dataclass(frozen=True, slots=True)
class InstalledFitsChanged:
    """Installed models would run differently now; read it from InstalledFits."""


@dataclass(frozen=True, slots=True)
class BenchmarkChanged:
    """A benchmark began, went on or ended, or results were forgotten; read it from BenchmarkService."""


@dataclass(frozen=True, slots=True)
class ComparisonChanged:
    """A comparison began, a contestant went on to another phase, a cell was finished, or it ended; read it from
    ComparisonService.
    """

    comparison_id: int


@dataclass(frozen=True, slots=True)
class ComparisonProgressed:
    """New text of one cell of a running comparison; `text` is only what is new."""

    comparison_id: int
    key: CellKey
    text: str
    stats: GenerationStats
    channel: Channel = Channel.ANSWER
    takes_back: bool = False
    """All of the answer so far was thinking."""


@dataclass(frozen=True, slots=True)
class VotesChanged:
    """Answers of a comparison were judged, or a judgement was taken back; leaderboards may change."""

    comparison_id: int


@dataclass(frozen=True, slots=True)
class JudgingChanged:
    """A judge model began, went on or ended; read it from JudgingService."""


@dataclass(frozen=True, slots=True)
class PromptSetsChanged:
    """The user's prompt sets changed; read them from PromptSetService."""


@dataclass(frozen=True, slots=True)
class LossChanged:
    """A measurement of what a smaller file loses began, went on or ended, or a file was re-quantized; read it from
    LossService.
    """


@dataclass(frozen=True, slots=True)
class RuntimesChanged:
    """Builds of the engine were tested, so another one may be in use; read them from RuntimeService."""


@dataclass(frozen=True, slots=True)
class UpdatesChanged:
    """Something is known of a newer version, or its download moved; read it from UpdateService."""


@dataclass(frozen=True, slots=True)
class ErrorHappened:
    """Something failed that no page asked for just now (in the background)."""

    error: AppError


Event = (
    PacksChanged | RuntimesChanged | SharingChanged | WorkerDied | LoadStepped | ModelUnloaded
    | HardwareReported | MemoryMeasured | SuggestionsChanged | VariantsRefined | SizesLearned | LibraryChanged | DownloadChanged
    | DownloadFinished | EngineChanged | ModelLoaded | EngineFailed | MessageAdded | AnswerProgressed | AnswerEnded
    | ContextChecked | ConversationsChanged | ConversationDeleted | SettingChanged | LoadSettingsChanged | ChatSettingsChanged
    | SamplingChanged | UpdatesChanged
    | ComparisonChanged | ComparisonProgressed | VotesChanged | JudgingChanged | PromptSetsChanged | LossChanged
    | InstalledFitsChanged | AnswerTimed | MeasurementsChanged | TuningChanged | BenchmarkChanged | ErrorHappened
)
Subscriber = Callable[[Event], None]


class EventBus:
    """Hands each event to every subscriber, in the publisher's thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._subscribers: tuple[Subscriber, ...] = ()

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Call `subscriber` for every event from now on; returns what ends it."""
        with self._lock:
            self._subscribers = (*self._subscribers, subscriber)

        def unsubscribe() -> None:
            with self._lock:
                self._subscribers = tuple(known for known in self._subscribers if known is not subscriber)

        return unsubscribe

    def publish(self, event: Event) -> None:
        """Tell every subscriber; one that raises is logged and does not keep the others from hearing."""
        for subscriber in self._subscribers:
            try:
                subscriber(event)
            except Exception:
                log.exception("a subscriber failed on %s", type(event).__name__)
