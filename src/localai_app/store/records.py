"""The rows of the store as frozen values. Times are seconds since the epoch (UTC)."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec


class Role(StrEnum):
    """Who says a message."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


class MessageState(StrEnum):
    """How far an answer got."""

    STREAMING = "streaming"
    DONE = "done"
    STOPPED = "stopped"
    """The user pressed stop."""
    INTERRUPTED = "interrupted"
    """The engine or the app died; the text so far is kept."""


class CallRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A tool that an answer asked for; the fields are those of `engine.conversation.ToolCall`."""

    name: str
    arguments_json: str
    id: str = ""
    problem: str = ""
    raw: str = ""


class MessageStats(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers kept under an answer."""

    prompt_tokens: int
    completion_tokens: int
    prompt_tps: float
    tps: float
    ttft_s: float
    context_used: int
    context_total: int
    finish_reason: str
    thinking_s: float = 0.0
    """How long the model thought; 0.0 without thinking or where nobody measured it."""
    gpu_j: float | None = None
    """Joules that the GPUs took meanwhile; None where they do not tell."""
    processor_j: float | None = None
    expected_tps: float | None = None
    """The least that was predicted; None where nothing was."""


class AnswerCut(msgspec.Struct, frozen=True, kw_only=True):
    """What of a chat the model did not get for an answer because the context was full: messages by their ids."""

    left_out: tuple[int, ...] = ()
    shortened: tuple[tuple[int, int], ...] = ()
    """(message, characters kept of it: its beginning and its end)."""


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """One chat of the list."""

    id: int
    title: str
    model_key: str
    """Key of the installed model last used (see services.library), or empty."""
    created_s: float
    updated_s: float


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message of a chat, in the order of `id`."""

    id: int
    conversation_id: int
    role: Role
    text: str
    state: MessageState
    created_s: float
    model_key: str = ""
    stats: MessageStats | None = None
    error: str = ""
    """Why it was interrupted, in words."""
    cut: AnswerCut | None = None
    """None: the model got the whole chat before it."""
    thinking: str | None = None
    """What was thought before the answer `text`; None: written by an older version, with thinking and tags in `text`."""
    tool_calls: tuple[CallRecord, ...] = ()


class DownloadState(StrEnum):
    """Where a download stands; only `active` ones move."""

    ACTIVE = "active"
    PAUSED = "paused"
    FAILED = "failed"


class DownloadRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A download that is not finished (finished ones are files in the models folder)."""

    id: int
    repo_id: str
    commit: str
    label: str
    files: tuple[tuple[str, int, str | None], ...]
    """(path in the repository, size in bytes, sha256)."""
    state: DownloadState
    done_bytes: int
    error: str
    created_s: float


class LinkedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model file outside the models folder that the user added in place."""

    path: str
    added_s: float


class ModelUse(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of an installed model: last use and the speed measured then."""

    model_key: str
    last_used_s: float
    tps: float | None = None
    prompt_tps: float | None = None


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """One load (its memory) or one answer (its speed) on this computer: as predicted, and as measured. None: not part of it.

    Predicted is what was told, corrections included; `formula_` is what was calculated before any correction.
    """

    time_s: float
    model_key: str
    model_name: str
    label: str
    description: str
    """llama.cpp's words for the model: architecture, size and type."""
    engine_build: str
    processor: str
    gpus: tuple[str, ...]
    """Those that hold layers, by name, in the order of the plan."""
    place: str
    """gpu, gpu_partial or cpu."""
    gpu_layers: int
    expert_blocks: int = 0
    """Blocks on GPUs whose experts lie in main memory."""
    kv_type: str
    ctx: int
    predicted_bytes: int | None = None
    measured_bytes: int | None = None
    host_overhead_bytes: int | None = None
    """Main memory that the engine's process took beyond llama.cpp's buffers, less what is calculated for its tokenizer."""
    gpu_overhead_bytes: int | None = None
    """What vanished of the GPUs' free memory beyond llama.cpp's buffers, for each GPU on average."""
    depth: int = 0
    """Tokens in the cache in the middle of the answer."""
    tokens: int = 0
    """Generated."""
    formula_tps: float | None = None
    predicted_tps: float | None = None
    measured_tps: float | None = None
    prompt_tokens: int = 0
    """Evaluated; what was still in the cache is not counted."""
    formula_prompt_tps: float | None = None
    predicted_prompt_tps: float | None = None
    measured_prompt_tps: float | None = None


class BenchmarkFigure(msgspec.Struct, frozen=True, kw_only=True):
    """One length of a prompt, or generation at one depth. `seconds`: of each repeat; none where it was not measured."""

    kind: str
    """prompt or generation."""
    tokens: int
    depth: int = 0
    seconds: tuple[float, ...] = ()


class BenchmarkRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One benchmark of a model on this computer, with what decided its speed."""

    time_s: float
    model_key: str
    model_name: str
    label: str
    description: str
    """llama.cpp's words for the model: architecture, size and type."""
    engine_build: str
    """Version of llama.cpp and the instructions and back ends that it was built with."""
    options: dict[str, Any]
    """How the model was loaded: the fields of LoadOptions that differ from its defaults."""
    ctx: int
    threads: int
    gpu_layers: int
    n_layer: int
    """Blocks plus one for the output head."""
    processor: str
    gpus: tuple[str, ...] = ()
    """Those that hold layers, by name."""
    memory_bytes: int = 0
    """Main memory of the computer."""
    figures: tuple[BenchmarkFigure, ...]
    is_complete: bool = True
