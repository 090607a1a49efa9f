"""The choice of the next token as a chain of llama.cpp samplers: everything per token happens in C."""

from __future__ import annotations

import ctypes
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from localai_app.engine.conversation import TokenLogprob
from localai_app.engine.failure import RequestRefusedError
from localai_app.engine.sampling import SEED_BOUND, Sampling, sampling_problem
from localai_app.engine.worker.candidates import CandidateArray
from localai_app.engine.worker.grammar_guard import GrammarGuard
from localai_app.engine.worker.json_schema import grammar_of_schema
from localai_app.engine.worker.logprobs import LogprobReader
from localai_app.errors import SAMPLING_INVALID

_DRY_BREAKERS = ("\n", ":", '"', "*")
"""Where DRY begins anew; `dry_sequence_breakers` of llama.cpp's programs."""
_MIROSTAT_CANDIDATES = 100
"""Tokens that mirostat 1 estimates from, as in its paper and in llama.cpp's programs."""
_MAX_TRIES = 200
"""More than any vocabulary has tokens that are never shown and are likely in one place."""
_FORBIDDEN = float("-inf")
_FORBIDDING_BIAS = -100.0


class SampledModel(Protocol):
    """What a sampler needs of a model; `LlamaModel` has it."""

    vocab: Any
    n_vocab: int

    def tokenize_plain(self, text: str) -> list[int]:
        """The tokens of a text by itself, nothing added."""


@dataclass(frozen=True, slots=True)
class SamplerStep:
    """One link of the chain: the name of a `llama_sampler_init_` function and its numbers."""

    name: str
    arguments: tuple[float, ...] = ()


def sampler_steps(sampling: Sampling, seed: int) -> tuple[SamplerStep, ...]:
    """The chain in the order of llama.cpp's own programs; values that change nothing add no link.

    Source of the order: `common_sampler_init` and `common_params_sampling.samplers` of llama.cpp (penalties, DRY, top-k,
    typical, top-p, min-p, XTC, temperature). Mirostat stands in the place of all but the temperature. The bias of single
    tokens comes before everything and is no step, since it needs the model.
    """
    if sampling.mirostat in (1, 2):
        temperature = [SamplerStep("temp", (sampling.temperature,))] if sampling.temperature != 1.0 else []
        mirostat = (seed, sampling.mirostat_tau, sampling.mirostat_eta)
        return (*temperature, SamplerStep("mirostat" if sampling.mirostat == 1 else "mirostat_v2", mirostat))
    history = _history_steps(sampling)
    truncation = _truncation_steps(sampling, seed)
    if sampling.temperature <= 0:
        # Of the links that leave tokens out, only these two can leave out the likeliest one.
        is_needed = any(step.name in ("typical", "xtc") for step in truncation)
        return (*history, *(truncation if is_needed else ()), SamplerStep("greedy"))
    temperature = [SamplerStep("temp", (sampling.temperature,))] if sampling.temperature != 1.0 else []
    return (*history, *truncation, *temperature, SamplerStep("dist", (seed,)))


def _history_steps(sampling: Sampling) -> tuple[SamplerStep, ...]:
    """The links that look at the tokens so far."""
    steps: list[SamplerStep] = []
    repeat = sampling.repeat_penalty if sampling.repeat_penalty > 0 else 1.0
    if sampling.penalty_window > 0 and (repeat != 1.0 or sampling.frequency_penalty or sampling.presence_penalty):
        steps.append(SamplerStep(
            "penalties", (sampling.penalty_window, repeat, sampling.frequency_penalty, sampling.presence_penalty)))
    if sampling.dry_multiplier > 0 and sampling.dry_base >= 1 and sampling.dry_window > 0:
        steps.append(SamplerStep(
            "dry", (sampling.dry_multiplier, sampling.dry_base, sampling.dry_allowed_length, sampling.dry_window)))
    return tuple(steps)


def _truncation_steps(sampling: Sampling, seed: int) -> tuple[SamplerStep, ...]:
    """The links that leave tokens out."""
    steps: list[SamplerStep] = []
    if sampling.top_k > 0:
        steps.append(SamplerStep("top_k", (sampling.top_k,)))
    if 0 < sampling.typical_p < 1:
        steps.append(SamplerStep("typical", (sampling.typical_p,)))
    if 0 < sampling.top_p < 1:
        steps.append(SamplerStep("top_p", (sampling.top_p,)))
    if sampling.min_p > 0:
        steps.append(SamplerStep("min_p", (sampling.min_p,)))
    if sampling.xtc_probability > 0 and sampling.xtc_threshold <= 0.5:
        steps.append(SamplerStep("xtc", (sampling.xtc_probability, sampling.xtc_threshold, seed)))
    return tuple(steps)


def history_length(sampling: Sampling) -> int:
    """How many of the latest tokens the chain wants to know before it begins; 0 for most chains."""
    windows = {"penalties": sampling.penalty_window, "dry": sampling.dry_window}
    return max((windows[step.name] for step in sampler_steps(sampling, 0) if step.name in windows), default=0)


def seed_of(sampling: Sampling) -> int:
    """The seed to use, 32 bits; a new one where none is given."""
    if sampling.seed is None:
        return secrets.randbelow(SEED_BOUND)
    return sampling.seed % SEED_BOUND


class TokenSampler:
    """Chooses tokens of one answer after the other. `close` frees what it holds in C.

    RequestRefusedError where the values, the grammar or the schema cannot be used.
    """

    def __init__(self, library: Any, model: SampledModel, sampling: Sampling) -> None:
        problem = sampling_problem(sampling)
        if problem:
            raise RequestRefusedError(SAMPLING_INVALID, reason=problem)
        self._library = library
        self._sample = library.llama_sampler_sample
        self._accept = library.llama_sampler_accept
        self._history_length = history_length(sampling)
        self._guard: GrammarGuard | None = None
        grammar = grammar_of_schema(sampling.json_schema) if sampling.json_schema.strip() else sampling.grammar
        if grammar.strip():
            self._guard = GrammarGuard(library, model, grammar)
            self._candidates = CandidateArray(library, model.n_vocab)
            self._temperature = sampling.temperature
            # What lifts a token that is unlikely by itself makes all of them matter.
            lifts = bool(sampling.logit_bias) or sampling.repeat_penalty < 1 or min(
                sampling.frequency_penalty, sampling.presence_penalty) < 0
            self._n_others = 0 if lifts else sampling.top_k or model.n_vocab
        self._reader = LogprobReader(library, model, sampling.logprobs) if sampling.logprobs is not None else None
        self._logprobs: list[TokenLogprob] = []
        self._is_plain = self._guard is None and self._reader is None
        self._chain: Any = _build_chain(library, model, sampling)

    def prime(self, tokens: Sequence[int]) -> None:
        """Tell the chain what was said before the answer begins, as far as it looks back."""
        if self._history_length:
            for token in tokens[-self._history_length:]:
                self._accept(self._chain, token)

    def resume(self, text: str) -> None:
        """Follow the grammar through a text that the answer has already. RequestRefusedError GRAMMAR_STUCK if it does not."""
        if self._guard is not None and text:
            self._guard.follow(text)

    def sample(self, context: Any, row: int = -1) -> int:
        """Choose a token by the logits of an output row (-1: the last one), and accept it.

        RequestRefusedError GRAMMAR_STUCK where a grammar allows no token, or becomes too costly.
        """
        if self._is_plain:
            chosen: int = self._sample(self._chain, context, row)
            return chosen
        token = self._sample(self._chain, context, row) if self._guard is None else self._sample_guarded(context, row)
        if self._reader is not None:
            self._logprobs.append(self._reader.read(context, row, token))
        return int(token)

    def accept(self, token: int) -> None:
        """Take note of a token of the answer that was not chosen here."""
        if self._guard is not None:
            self._guard.accept(token)
        self._accept(self._chain, token)

    def take_logprobs(self) -> tuple[TokenLogprob, ...]:
        """The log-probabilities of the tokens chosen since the last call; empty where they were not asked for."""
        taken, self._logprobs = tuple(self._logprobs), []
        return taken

    def close(self) -> None:
        """Free the chain; nothing may be asked afterwards."""
        if self._chain is not None:
            self._library.llama_sampler_free(self._chain)
            self._chain = None
            for part in (self._guard, self._reader):
                if part is not None:
                    part.close()

    def _sample_guarded(self, context: Any, row: int) -> int:
        """First without the grammar, and only if it forbids the choice once more with it: most choices fit anyway.

        So does `common_sampler_sample` of llama.cpp. To check one token takes microseconds, to check all of them milliseconds.
        """
        assert self._guard is not None
        candidates = self._candidates
        candidates.fill(context, row)
        candidates.apply(self._chain)
        token = candidates.token(candidates.selected)
        for _ in range(_MAX_TRIES):
            if self._guard.allows(token):
                break
            # The second choice fits, unless it is a token that is never shown: that one is left out from then on.
            self._fill_allowed(context, row)
            candidates.apply(self._chain)
            token = candidates.token(candidates.selected)
        self.accept(token)
        return token

    def _fill_allowed(self, context: Any, row: int) -> None:
        """The candidates that the grammar allows; only the likeliest are checked where that makes no difference."""
        assert self._guard is not None
        if self._n_others:
            self._candidates.fill(context, row)
            if self._guard.mask_likeliest(self._candidates, self._temperature, self._n_others):
                return
        self._candidates.fill(context, row)
        self._guard.mask(self._candidates)


def _build_chain(library: Any, model: SampledModel, sampling: Sampling) -> Any:
    parameters = library.llama_sampler_chain_default_params()
    parameters.no_perf = True
    chain = library.llama_sampler_chain_init(parameters)
    biases = _biases(library, model, sampling)
    if biases:
        array = (library.llama_logit_bias * len(biases))(*biases.items())
        library.llama_sampler_chain_add(
            chain, library.llama_sampler_init_logit_bias(model.n_vocab, len(biases), array))
    for step in sampler_steps(sampling, seed_of(sampling)):
        library.llama_sampler_chain_add(chain, _build_step(library, step, model))
    return chain


def _biases(library: Any, model: SampledModel, sampling: Sampling) -> dict[int, float]:
    """What is added to the logits, by token: as asked for, and minus infinity for what the model's file says to suppress."""
    biases: dict[int, float] = {}
    for entry in sampling.logit_bias:
        tokens = [entry.token] if isinstance(entry.token, int) else model.tokenize_plain(entry.token)
        bias = _FORBIDDEN if entry.bias <= _FORBIDDING_BIAS else entry.bias
        biases.update({token: bias for token in tokens if 0 <= token < model.n_vocab})
    count = ctypes.c_int32(0)
    suppressed = library.llama_vocab_get_suppress_tokens(model.vocab, ctypes.byref(count))
    biases.update({suppressed[index]: _FORBIDDEN for index in range(count.value)})
    return biases


def _build_step(library: Any, step: SamplerStep, model: SampledModel) -> Any:
    values = step.arguments
    builders: dict[str, Callable[[], Any]] = {
        "penalties": lambda: library.llama_sampler_init_penalties(model.n_vocab, int(values[0]), *values[1:]),
        "dry": lambda: library.llama_sampler_init_dry(
            model.vocab, values[0], values[1], int(values[2]), int(values[3]), *_breakers()),
        "greedy": lambda: library.llama_sampler_init_greedy(),
        "top_k": lambda: library.llama_sampler_init_top_k(int(values[0])),
        "typical": lambda: library.llama_sampler_init_typical(values[0], 1),
        "top_p": lambda: library.llama_sampler_init_top_p(values[0], 1),
        "min_p": lambda: library.llama_sampler_init_min_p(values[0], 1),
        "xtc": lambda: library.llama_sampler_init_xtc(values[0], values[1], 1, int(values[2])),
        "temp": lambda: library.llama_sampler_init_temp(values[0]),
        "dist": lambda: library.llama_sampler_init_dist(int(values[0])),
        "mirostat": lambda: library.llama_sampler_init_mirostat(
            model.n_vocab, int(values[0]), values[1], values[2], _MIROSTAT_CANDIDATES),
        "mirostat_v2": lambda: library.llama_sampler_init_mirostat_v2(int(values[0]), values[1], values[2]),
    }
    return builders[step.name]()


def _breakers() -> tuple[Any, int]:
    texts = [text.encode() for text in _DRY_BREAKERS]
    return (ctypes.c_char_p * len(texts))(*texts), len(texts)
