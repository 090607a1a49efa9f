"""The way down from a set-up that failed to one that works: which value gives way next, and why, in a sentence."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from localai_app import errors
from localai_app.engine.load_options import KvType, LoadOptions
from localai_app.engine.outcome import OutcomeKind, WorkerOutcome
from localai_app.errors import AppError
from localai_app.units import format_count

MOST_STEPS = 10
"""So many set-ups are tried after the first one; each of them costs a load."""
COMFORTABLE_CTX = 4096
"""A context that nobody fixed is not shortened below this before everything else was tried."""
SHORTEST_CTX = 512
_QUARTER_ABOVE = 16_384
"""A longer context gives way in quarters, else in halves."""
_CTX_STEP = 256
_SMALL_UBATCH = 128
SAFE_UBATCH = 64
_HALVINGS = 2
"""How often the layers on GPUs are halved before all of them leave."""


class LoadFailure(StrEnum):
    """Failures that a smaller set-up may mend."""

    OUT_OF_MEMORY = "out_of_memory"
    CRASH = "crash"
    """At the load, or at the first token."""
    DEVICE_LOST = "device_lost"
    REFUSED = "refused"
    """llama.cpp gave an error of its own. Only what an earlier step asked for can be taken back."""


_WHAT_HAPPENED = {
    LoadFailure.OUT_OF_MEMORY: "The memory did not suffice.",
    LoadFailure.CRASH: "The engine crashed while it loaded the model.",
    LoadFailure.DEVICE_LOST: "A device stopped working.",
    LoadFailure.REFUSED: "The engine refused that.",
}
_DEVICE_LOST = re.compile(
    r"DeviceLost|device.{0,20} lost|lost .{0,20}device|CUDA error|ROCm error|unspecified launch failure|GPU is lost"
    r"|RPC .{0,60}(?:failed|crashed|closed|disconnect)|Remote RPC server", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class LadderFacts:
    """What a way down depends on besides the options; 0 where it is not known."""

    fixed: frozenset[str] = frozenset()
    """Fields of LoadOptions whose values somebody chose for this model: they give way last."""
    ctx_train: int = 0
    blocks_with_experts: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """What is tried next. `sentence`: what failed and what is tried instead, for people."""

    options: LoadOptions
    sentence: str


def failure_of_error(error: AppError) -> LoadFailure | None:
    """What a worker that lives on said about a load; None where no other set-up could help."""
    if error.spec is errors.ENGINE_OUT_OF_MEMORY:
        return LoadFailure.OUT_OF_MEMORY
    if error.spec is errors.ENGINE_CRASHED:
        return LoadFailure.DEVICE_LOST if _DEVICE_LOST.search(error.detail) else LoadFailure.CRASH
    return LoadFailure.REFUSED if error.spec is errors.MODEL_LOAD_FAILED else None


def failure_of_outcome(outcome: WorkerOutcome) -> LoadFailure | None:
    """What the end of a worker says about a load; None where no other set-up could help."""
    match outcome.kind:
        case OutcomeKind.OUT_OF_MEMORY:
            return LoadFailure.OUT_OF_MEMORY
        case OutcomeKind.SIGNAL if outcome.signal in (signal.SIGTERM, signal.SIGINT):
            return None
        case OutcomeKind.SIGNAL if outcome.signal == getattr(signal, "SIGKILL", -1):
            # Nobody else ends a worker like that: the system does so when memory runs short.
            return LoadFailure.OUT_OF_MEMORY
        case OutcomeKind.SIGNAL | OutcomeKind.ASSERTION:
            return LoadFailure.DEVICE_LOST if _DEVICE_LOST.search(outcome.stderr_tail) else LoadFailure.CRASH
        case OutcomeKind.EXITED if outcome.exit_code:
            return LoadFailure.DEVICE_LOST if _DEVICE_LOST.search(outcome.stderr_tail) else LoadFailure.CRASH
        case _:
            return None


@dataclass(frozen=True, slots=True)
class _Rung:
    """One value that may give way. `lower` gives the next smaller set-up, None where there is none."""

    field: str
    lower: Callable[[LoadOptions, LadderFacts], LoadOptions | None]
    words: Callable[[LoadOptions, LoadOptions], str]


def _shorter_context(least: int) -> Callable[[LoadOptions, LadderFacts], LoadOptions | None]:
    def lower(options: LoadOptions, facts: LadderFacts) -> LoadOptions | None:
        if options.ctx <= least:
            return None
        if 0 < facts.ctx_train < options.ctx:
            ctx = facts.ctx_train
        else:
            ctx = options.ctx // (4 if options.ctx > _QUARTER_ABOVE else 2) // _CTX_STEP * _CTX_STEP
        return msgspec.structs.replace(options, ctx=max(least, ctx))

    return lower


def _no_drafts(options: LoadOptions, _facts: LadderFacts) -> LoadOptions | None:
    plain = without_drafts(options)
    return plain if plain != options else None


def _no_draft_model(options: LoadOptions, _facts: LadderFacts) -> LoadOptions | None:
    return without_drafts(options) if options.draft_path else None


def _smaller_kv(options: LoadOptions, _facts: LadderFacts) -> LoadOptions | None:
    return msgspec.structs.replace(options, kv_type=KvType.Q8_0) if options.kv_type is KvType.F16 else None


def _exact_kv(options: LoadOptions, _facts: LadderFacts) -> LoadOptions | None:
    return msgspec.structs.replace(options, kv_type=KvType.F16) if options.kv_type is not KvType.F16 else None


def _shorter_steps(options: LoadOptions, _facts: LadderFacts) -> LoadOptions | None:
    return msgspec.structs.replace(options, ubatch=_SMALL_UBATCH) if options.ubatch > _SMALL_UBATCH else None


def _experts_out(options: LoadOptions, facts: LadderFacts) -> LoadOptions | None:
    if options.gpu_layers <= 0 or options.cpu_expert_blocks >= facts.blocks_with_experts:
        return None
    return msgspec.structs.replace(options, cpu_expert_blocks=facts.blocks_with_experts)


def _fewer_layers(least: int) -> Callable[[LoadOptions, LadderFacts], LoadOptions | None]:
    def lower(options: LoadOptions, _facts: LadderFacts) -> LoadOptions | None:
        if options.gpu_layers // 2 < max(1, least):
            return None
        return msgspec.structs.replace(options, gpu_layers=options.gpu_layers // 2, tensor_split=())

    return lower


def _processor_only(options: LoadOptions, _facts: LadderFacts) -> LoadOptions | None:
    return on_processor(options) if options.gpu_layers > 0 else None


def _no_repack(options: LoadOptions, _facts: LadderFacts) -> LoadOptions | None:
    return msgspec.structs.replace(options, use_repack=False) if options.use_repack else None


def _ctx_words(before: LoadOptions, after: LoadOptions) -> str:
    return f"a context of {format_count(after.ctx)} tokens instead of {format_count(before.ctx)}"


def _layer_words(before: LoadOptions, after: LoadOptions) -> str:
    return f"{after.gpu_layers} layers on the GPU instead of {before.gpu_layers}"


_DRAFT_MODEL = _Rung("draft_path", _no_draft_model, lambda _before, _after: "no second model that drafts")
_DRAFTS = _Rung("draft_path", _no_drafts, lambda _before, _after: "one token after the other, without drafts")
_CONTEXT = _Rung("ctx", _shorter_context(COMFORTABLE_CTX), _ctx_words)
_LEAST_CONTEXT = _Rung("ctx", _shorter_context(SHORTEST_CTX), _ctx_words)
_SMALLER_KV = _Rung("kv_type", _smaller_kv, lambda _before, _after: "a context stored with 8 bit")
_EXACT_KV = _Rung("kv_type", _exact_kv, lambda _before, _after: "a context stored with 16 bit")
_UBATCH = _Rung("ubatch", _shorter_steps, lambda before, after: f"steps of {after.ubatch} tokens instead of {before.ubatch}")
_EXPERTS = _Rung("cpu_expert_blocks", _experts_out, lambda _before, _after: "the experts in main memory")
_PROCESSOR = _Rung("gpu_layers", _processor_only, lambda _before, _after: "the processor alone")
_REPACK = _Rung("use_repack", _no_repack, lambda _before, _after: "the weights as they lie in the file")


def _layers(planned: LoadOptions) -> _Rung:
    return _Rung("gpu_layers", _fewer_layers(planned.gpu_layers >> _HALVINGS), _layer_words)


def _rungs(failure: LoadFailure, planned: LoadOptions) -> tuple[_Rung, ...]:
    """What gives way after a failure, first to last."""
    match failure:
        case LoadFailure.OUT_OF_MEMORY:
            return (
                _DRAFT_MODEL, _CONTEXT, _SMALLER_KV, _UBATCH, _EXPERTS, _layers(planned), _PROCESSOR, _REPACK, _LEAST_CONTEXT)
        case LoadFailure.CRASH:
            # Rearranged weights first: they are multiplied by code for instructions that a virtual machine may not have.
            return (_DRAFTS, _EXACT_KV, _REPACK, _UBATCH, _PROCESSOR, _CONTEXT)
        case LoadFailure.DEVICE_LOST:
            return (_PROCESSOR,)
        case LoadFailure.REFUSED:
            return ()


@dataclass(frozen=True, slots=True)
class Ladder:
    """One way down, from the plan of a load. Immutable: `next` gives the step, `after` the ladder that stands on it."""

    planned: LoadOptions
    facts: LadderFacts = LadderFacts()
    tried: tuple[LoadOptions, ...] = ()
    """Every set-up from the first one on; the last one is the one that is loaded now."""

    @property
    def options(self) -> LoadOptions:
        """The set-up that is loaded now."""
        return self.tried[-1] if self.tried else self.planned

    def next(self, failure: LoadFailure) -> Step | None:
        """What to try after this failure; None where nothing is left, or enough was tried."""
        if len(self.tried) > MOST_STEPS:
            return None
        if failure is LoadFailure.REFUSED:
            return self._taken_back()
        return self._lowered(failure, self.options)

    def after(self, step: Step) -> Ladder:
        """The same ladder, on this step."""
        return Ladder(self.planned, self.facts, (*(self.tried or (self.planned,)), step.options))

    def _lowered(self, failure: LoadFailure, options: LoadOptions) -> Step | None:
        free = [rung for rung in _rungs(failure, self.planned) if rung.field not in self.facts.fixed]
        fixed = [rung for rung in _rungs(failure, self.planned) if rung.field in self.facts.fixed]
        for rung in (*free, *fixed):
            lowered = rung.lower(options, self.facts)
            if lowered is None or lowered in self.tried or self._is_back(rung, lowered):
                continue
            words = rung.words(options, lowered)
            despite = ", although another value was chosen for this model" if rung in fixed else ""
            return Step(lowered, f"{_WHAT_HAPPENED[failure]} Trying {words}{despite}.")
        return None

    def _is_back(self, rung: _Rung, lowered: LoadOptions) -> bool:
        """Whether a step asks again for a precision of the context that failed already."""
        return rung.field == "kv_type" and any(options.kv_type is lowered.kv_type for options in self.tried)

    def _taken_back(self) -> Step | None:
        """Where the last step made the engine refuse: its context precision back, and the next value instead."""
        if len(self.tried) < 2 or self.tried[-1].kv_type is self.tried[-2].kv_type:
            return None
        step = self._lowered(LoadFailure.OUT_OF_MEMORY, self.tried[-2])
        return None if step is None else Step(step.options, step.sentence.replace(
            _WHAT_HAPPENED[LoadFailure.OUT_OF_MEMORY], _WHAT_HAPPENED[LoadFailure.REFUSED]))


def safe_options(options: LoadOptions) -> LoadOptions:
    """The set-up with the least that can go wrong: on the processor, with everything plain and small."""
    return msgspec.structs.replace(
        without_drafts(on_processor(options)), kept_bytes=0, ctx=min(options.ctx, COMFORTABLE_CTX), kv_type=KvType.F16,
        ubatch=SAFE_UBATCH, use_repack=False)


def on_processor(options: LoadOptions) -> LoadOptions:
    """The same without any GPU."""
    return msgspec.structs.replace(
        options, gpu_layers=0, cpu_expert_blocks=0, tensor_split=(), devices=(), main_device=None, draft_gpu_layers=0)


def without_drafts(options: LoadOptions) -> LoadOptions:
    """The same without a second model, and without tokens that are guessed and verified."""
    return msgspec.structs.replace(options, draft_path="", draft_gpu_layers=0, draft_tokens=0, lookup=False, draft_gain=0.0)


def difference_words(planned: LoadOptions, used: LoadOptions) -> str:
    """What a set-up gave up, as parts of a sentence; empty where it is as planned."""
    parts: list[str] = []
    if used.ctx != planned.ctx:
        parts.append(_ctx_words(planned, used))
    if used.kv_type is not planned.kv_type:
        parts.append(f"the context stored as {used.kv_type.value}")
    if planned.gpu_layers > 0 and used.gpu_layers == 0:
        parts.append("the processor alone")
    elif used.gpu_layers != planned.gpu_layers:
        parts.append(_layer_words(planned, used))
    elif used.cpu_expert_blocks != planned.cpu_expert_blocks:
        parts.append("the experts in main memory")
    if used.ubatch != planned.ubatch:
        parts.append(f"steps of {used.ubatch} tokens")
    if used.use_repack != planned.use_repack:
        parts.append("the weights as they lie in the file")
    if without_drafts(planned) != planned and without_drafts(used) == used:
        parts.append("no drafts")
    return ", ".join(parts)
