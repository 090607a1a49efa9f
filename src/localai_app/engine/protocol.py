"""What the window's process and a worker say to each other: one JSON object a line, declared here once.

Commands go to the worker's stdin, events come back on a private descriptor. Every request carries an
`id` chosen by the sender; every answer repeats it. Speeds are never sent, only counts and seconds.
"""

from __future__ import annotations

from typing import Any

import msgspec

from localai_app.engine.benchmark import BenchmarkKind as BenchmarkKind
from localai_app.engine.benchmark import BenchmarkRow as BenchmarkRow
from localai_app.engine.conversation import Channel as Channel
from localai_app.engine.conversation import ChatFormat as ChatFormat
from localai_app.engine.conversation import ChatMessage as ChatMessage
from localai_app.engine.conversation import FinishReason as FinishReason
from localai_app.engine.conversation import GenerationStats as GenerationStats
from localai_app.engine.conversation import HistoryCut as HistoryCut
from localai_app.engine.conversation import Overflow as Overflow
from localai_app.engine.conversation import Shortened as Shortened
from localai_app.engine.conversation import TokenLogprob as TokenLogprob
from localai_app.engine.conversation import ToolCall as ToolCall
from localai_app.engine.load_options import KvType as KvType
from localai_app.engine.load_options import LoadOptions as LoadOptions
from localai_app.engine.sampling import Sampling as Sampling
from localai_app.engine.scoring import LossSums as LossSums
from localai_app.engine.scoring import ScoredModel as ScoredModel
from localai_app.engine.scoring import TensorFallback as TensorFallback
from localai_app.engine.tuning import TuningKind as TuningKind
from localai_app.engine.tuning import TuningRow as TuningRow

PROTOCOL_VERSION = 1
MAX_LINE_BYTES = 8 * 1024 * 1024
"""A longer line is a broken peer, not a message."""


# --- commands ----------------------------------------------------------------------------------
class Load(msgspec.Struct, frozen=True, tag="load", kw_only=True):
    """Load a model; answered by LoadProgressed and then Loaded or RequestFailed."""

    id: int
    options: LoadOptions


class Chat(msgspec.Struct, frozen=True, tag="chat", kw_only=True):
    """Answer a conversation through the model's chat template."""

    id: int
    messages: tuple[ChatMessage, ...]
    sampling: Sampling = Sampling()
    prefill: str = ""
    """Text that the answer has already; generation goes on behind it and does not repeat it."""
    overflow: Overflow = Overflow.STOP
    known_cut: HistoryCut | None = None
    """What was left out of this conversation with its last answer; kept up as long as that is enough."""
    prefill_thinking: str = ""
    """Thinking that the answer has already. Without a `prefill` generation goes on within the thinking."""
    thinking: str | None = None
    """One of `ChatFormat.thinking`; None: as the template does by itself. The nearest one where there is no such choice."""
    tools: tuple[dict[str, Any], ...] = ()
    """Tools that the model may ask for: JSON schemas as in `{"type": "function", "function": {"name": ...}}`."""
    conversation: str = ""
    """Which conversation it belongs to: its state is kept under this name while others are answered."""


class CountTokens(msgspec.Struct, frozen=True, tag="count_tokens", kw_only=True):
    """Ask how long the prompt of a chat would be, and what would be left out of it; answered by TokensCounted."""

    id: int
    chat: Chat


class Complete(msgspec.Struct, frozen=True, tag="complete", kw_only=True):
    """Continue a text as it is, without a template (base models)."""

    id: int
    prompt: str
    sampling: Sampling = Sampling()


class Stop(msgspec.Struct, frozen=True, tag="stop", kw_only=True):
    """End the running answer `id`; it finishes with reason `cancelled`."""

    id: int


class ListDevices(msgspec.Struct, frozen=True, tag="list_devices", kw_only=True):
    """Ask llama.cpp which devices it sees."""

    id: int


class Plan(msgspec.Struct, frozen=True, tag="plan", kw_only=True):
    """Ask llama.cpp what a load would allocate, without weights: answered by Planned or RequestFailed.

    `header_path` is a sparse file of ours (`gguf.plan_header`); `options` are those of the load; of the
    model's path only the name matters, for messages.
    """

    id: int
    header_path: str
    options: LoadOptions


class Benchmark(msgspec.Struct, frozen=True, tag="benchmark", kw_only=True):
    """Time the loaded model: answered by BenchmarkProgressed and then Benchmarked or RequestFailed.

    What was in the cache is gone afterwards. Stopped, it ends with the rows that are complete.
    """

    id: int
    prompt_tokens: tuple[int, ...] = ()
    """Lengths of prompts."""
    depths: tuple[int, ...] = ()
    """Tokens in the cache before `generated_tokens` are generated."""
    generated_tokens: int = 32
    threads: int = 0
    """0: as the model was loaded; another number counts for this benchmark only."""
    repeats: int = 3


class SelfTest(msgspec.Struct, frozen=True, tag="self_test", kw_only=True):
    """Compute with the tiny model at `model_path` (`engine.tiny_model`); answered by SelfTested or RequestFailed.

    It takes the place of a model that is loaded.
    """

    id: int
    model_path: str
    on_gpu: bool = False
    """With every layer on the GPUs instead of none."""


class SaveState(msgspec.Struct, frozen=True, tag="save_state", kw_only=True):
    """Write what the worker holds of a conversation to a file; answered by StateSaved, whatever comes of it."""

    id: int
    conversation: str
    path: str


class RestoreState(msgspec.Struct, frozen=True, tag="restore_state", kw_only=True):
    """Take a conversation's state from a file, unless it is held already; answered by StateRestored, whatever comes of it.

    A file that is damaged or belongs to another model is removed.
    """

    id: int
    conversation: str
    path: str


class Tune(msgspec.Struct, frozen=True, tag="tune", kw_only=True):
    """Find out what is fastest for the loaded model: answered by Tuned or RequestFailed. The conversation stays as it is.

    Of `threads` and `ubatches` the first is the usual value; no threads: they are not to be chosen. It takes about `budget_s`,
    longer only where the usual values alone do. Stopped, it ends at once with no rows.
    """

    id: int
    threads: tuple[int, ...] = ()
    ubatches: tuple[int, ...] = (512,)
    budget_s: float = 8.0


class ScoreLoss(msgspec.Struct, frozen=True, tag="score_loss", kw_only=True):
    """Measure what a variant loses against a reference on a text: answered by LossProgressed and then LossScored or
    RequestFailed.

    Both are loaded in place of a model that is loaded, and given back at the end. Of their options, what belongs to contexts
    is not used. Stopped, it ends with a LossScored without sums.
    """

    id: int
    reference: LoadOptions
    variant: LoadOptions
    text: str
    ctx: int = 512
    """Tokens of a chunk, of which the second half is scored; at most what the reference was trained with."""
    max_tokens: int = 8192
    """How much of the text is read, in whole chunks; one chunk at least."""
    generated_tokens: int = 16
    """Timed one by one with both afterwards."""


class Quantize(msgspec.Struct, frozen=True, tag="quantize", kw_only=True):
    """Write a model with fewer bits: answered by QuantizeProgressed and then Quantized or RequestFailed.

    llama.cpp cannot be stopped in it but with its process; a part of the file is then left behind.
    """

    id: int
    source_path: str
    target_path: str
    """A file that may be there already; it is replaced."""
    label: str
    """One of `engine.quantizing.FILE_TYPES`."""
    metadata: dict[str, str] = {}
    """Texts to add to the file's metadata; at most 127 bytes of each are kept."""
    threads: int = 0
    """0: the number of physical cores."""


class RenderTemplate(msgspec.Struct, frozen=True, tag="render_template", kw_only=True):
    """Try a chat template out, without any model: answered by TemplateRendered, or RequestFailed TEMPLATE_FAILED."""

    id: int
    source: str
    messages: tuple[ChatMessage, ...]
    bos: str = ""
    eos: str = ""


class Shutdown(msgspec.Struct, frozen=True, tag="shutdown", kw_only=True):
    """End the worker; closing its stdin does the same."""


Command = (
    Load | Chat | CountTokens | Complete | Stop | ListDevices | Plan | Benchmark | SelfTest | SaveState | RestoreState
    | Tune | ScoreLoss | Quantize | RenderTemplate | Shutdown
)


# --- events ------------------------------------------------------------------------------------
class Ready(msgspec.Struct, frozen=True, tag="ready", kw_only=True):
    """First line of a worker."""

    protocol: int
    backend: str
    """llama or echo."""
    engine_build: str
    """What runs: version, and the system info line of llama.cpp."""
    gpu_offload: bool
    """Whether this build can use a GPU at all."""
    pid: int


class LoadProgressed(msgspec.Struct, frozen=True, tag="load_progressed", kw_only=True):
    """Share of the weights read, 0.0 to 1.0."""

    id: int
    fraction: float


class Loaded(msgspec.Struct, frozen=True, tag="loaded", kw_only=True):
    """The model is ready."""

    id: int
    description: str
    ctx: int
    ctx_train: int
    n_layer: int
    """Blocks plus one for the output head, as llama.cpp counts offloadable layers."""
    gpu_layers: int
    threads: int
    model_bytes: int
    load_s: float
    has_chat_template: bool
    """False: a base model; only plain completion makes sense."""
    format: ChatFormat = ChatFormat()
    """Which template is in use, and what it allows."""
    buffers: tuple[PlannedBuffer, ...] = ()
    """What llama.cpp allocated on each device. With mmap the weights are the mapped part of the file, and beside it the
    copies that were rearranged for the processor (`repacked_bytes`)."""
    drafting: str = ""
    """How tokens are drafted, or why they are not, as a sentence; empty where the options ask for nothing."""
    rss_before_bytes: int = 0
    """Main memory that the worker held before the load; 0 where it was not measured."""


class ContextCut(msgspec.Struct, frozen=True, tag="context_cut", kw_only=True):
    """Before an answer begins: the conversation was too long, and this part of it was not given to the model."""

    id: int
    cut: HistoryCut


class TokensCounted(msgspec.Struct, frozen=True, tag="tokens_counted", kw_only=True):
    """Answer to CountTokens."""

    id: int
    prompt_tokens: int
    """Of the whole conversation."""
    sent_tokens: int | None
    """Of what would be sent under the policy; None where it would be refused."""
    context_total: int
    cut: HistoryCut = HistoryCut()


class StateSaved(msgspec.Struct, frozen=True, tag="state_saved", kw_only=True):
    """Answer to SaveState; 0 bytes: there was nothing worth it, or it could not be written."""

    id: int
    n_tokens: int = 0
    n_bytes: int = 0


class StateRestored(msgspec.Struct, frozen=True, tag="state_restored", kw_only=True):
    """Answer to RestoreState; 0 tokens: the conversation will be read anew."""

    id: int
    n_tokens: int = 0


class PromptProgressed(msgspec.Struct, frozen=True, tag="prompt_progressed", kw_only=True):
    """Prompt tokens evaluated so far."""

    id: int
    done: int
    total: int


class TextGenerated(msgspec.Struct, frozen=True, tag="text_generated", kw_only=True):
    """The next piece of the answer; whole characters only."""

    id: int
    text: str
    stats: GenerationStats
    logprobs: tuple[TokenLogprob, ...] = ()
    """Of the tokens since the last piece, where they were asked for."""
    channel: Channel = Channel.ANSWER
    takes_back: bool = False
    """All of the answer so far was thinking: it belongs behind the thinking before it, and this text behind that."""


class Finished(msgspec.Struct, frozen=True, tag="finished", kw_only=True):
    """An answer ended; its text was sent completely."""

    id: int
    reason: FinishReason
    stats: GenerationStats
    tool_calls: tuple[ToolCall, ...] = ()
    """What the model asks for, in its order."""


class RequestFailed(msgspec.Struct, frozen=True, tag="request_failed", kw_only=True):
    """A request could not be done; the worker lives on. `code` and `fields` name an `ErrorSpec` of errors.py."""

    id: int
    code: str
    fields: dict[str, str] = {}
    detail: str = ""


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """One device as llama.cpp lists it; `kind` is cpu, gpu, integrated_gpu or accelerator."""

    name: str
    description: str
    kind: str
    total_bytes: int
    free_bytes: int


class DevicesListed(msgspec.Struct, frozen=True, tag="devices_listed", kw_only=True):
    """Answer to ListDevices."""

    id: int
    devices: tuple[Device, ...]


class PlannedBuffer(msgspec.Struct, frozen=True, kw_only=True):
    """What a load would take on one device, in bytes. Everything in main memory is one device called CPU."""

    device: str
    kind: str
    """cpu, gpu or integrated_gpu."""
    weights_bytes: int = 0
    """Tensors, each once; 0 where this build cannot be asked for it."""
    repacked_bytes: int = 0
    """The part of them that a load with mmap holds twice: as it lies in the file, and rearranged for the processor."""
    kv_bytes: int = 0
    """Cache and recurrent state."""
    compute_bytes: int = 0
    output_bytes: int = 0
    """The logits of one token."""


class Planned(msgspec.Struct, frozen=True, tag="planned", kw_only=True):
    """Answer to Plan."""

    id: int
    buffers: tuple[PlannedBuffer, ...]
    n_layer: int
    """Blocks plus one for the output head, as llama.cpp counts offloadable layers."""
    gpu_layers: int
    plan_s: float
    engine_build: str


class BenchmarkProgressed(msgspec.Struct, frozen=True, tag="benchmark_progressed", kw_only=True):
    """How far a benchmark is: tokens read and generated so far and in all, and the seconds that they took."""

    id: int
    prompt_done: int = 0
    prompt_total: int = 0
    """Filling the cache to a depth included."""
    prompt_s: float = 0.0
    generated_done: int = 0
    generated_total: int = 0
    generation_s: float = 0.0


class Benchmarked(msgspec.Struct, frozen=True, tag="benchmarked", kw_only=True):
    """The end of a benchmark: a row for each length, then for each depth, rising."""

    id: int
    rows: tuple[BenchmarkRow, ...]
    ctx: int
    threads: int
    """That computed."""
    is_complete: bool = True
    """False: it was stopped, and the rows after the last one are missing."""


class SelfTested(msgspec.Struct, frozen=True, tag="self_tested", kw_only=True):
    """Answer to SelfTest: logits to compare with those of `engine.self_test`, and the time of the fastest round."""

    id: int
    after_prompt: tuple[float, ...]
    after_continuation: tuple[float, ...]
    prompt_tokens: int
    prompt_s: float
    generated_tokens: int
    generated_s: float
    devices: tuple[str, ...] = ()
    """Those other than the processor that hold weights."""


class Tuned(msgspec.Struct, frozen=True, tag="tuned", kw_only=True):
    """Answer to Tune; the loaded model goes on with the best number of threads."""

    id: int
    rows: tuple[TuningRow, ...]
    is_complete: bool


class LossProgressed(msgspec.Struct, frozen=True, tag="loss_progressed", kw_only=True):
    """How far a ScoreLoss is: share of both files read, then tokens evaluated by both models together, and of how many."""

    id: int
    load_fraction: float = 0.0
    done: int = 0
    total: int = 0
    """0 until both are loaded."""


class LossScored(msgspec.Struct, frozen=True, tag="loss_scored", kw_only=True):
    """Answer to ScoreLoss; everything but the id is empty where it was stopped."""

    id: int
    sums: LossSums | None = None
    reference: ScoredModel | None = None
    variant: ScoredModel | None = None
    n_tokens: int = 0
    """That each model read."""
    ctx: int = 0
    threads: int = 0


class QuantizeProgressed(msgspec.Struct, frozen=True, tag="quantize_progressed", kw_only=True):
    """Share of the weights that are written, 0.0 to 1.0."""

    id: int
    fraction: float = 0.0
    planned_bytes: int = 0
    """Of the tensors, as llama.cpp computes it before it begins."""


class Quantized(msgspec.Struct, frozen=True, tag="quantized", kw_only=True):
    """Answer to Quantize: the file is complete."""

    id: int
    size_bytes: int
    fallbacks: tuple[TensorFallback, ...] = ()
    seconds: float = 0.0


class TemplateRendered(msgspec.Struct, frozen=True, tag="template_rendered", kw_only=True):
    """Answer to RenderTemplate."""

    id: int
    prompt: str
    thinking: tuple[str, ...]
    """As in `ChatFormat`."""
    tools: bool


Event = (
    Ready | LoadProgressed | Loaded | PromptProgressed | TextGenerated | Finished | RequestFailed | DevicesListed | Planned
    | ContextCut | TokensCounted | BenchmarkProgressed | Benchmarked | SelfTested | StateSaved | StateRestored | Tuned
    | LossProgressed | LossScored | QuantizeProgressed | Quantized | TemplateRendered
)
