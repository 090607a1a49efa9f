"""The choice of the next token as a chain of llama.cpp samplers: everything per token happens in C."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from localai_app.engine.protocol import Sampling

PENALTY_WINDOW = 64
"""Tokens that `repeat_penalty` looks back on; llama.cpp's default."""
_RANDOM_SEED_BOUND = 0xFFFFFFFF
"""This value itself asks llama.cpp for a seed of its own."""


@dataclass(frozen=True, slots=True)
class SamplerStep:
    """One link of the chain: the name of a `llama_sampler_init_` function and its numbers."""

    name: str
    arguments: tuple[float, ...] = ()


def sampler_steps(sampling: Sampling, seed: int) -> tuple[SamplerStep, ...]:
    """The chain in the order of llama.cpp's own programs; values that change nothing are left out.

    Source of the order: `common_params_sampling.samplers` of llama.cpp (penalties, top-k, top-p, min-p, temperature).
    """
    steps: list[SamplerStep] = []
    if sampling.repeat_penalty != 1.0 and sampling.repeat_penalty > 0:
        steps.append(SamplerStep("penalties", (sampling.repeat_penalty,)))
    if sampling.temperature <= 0:
        return (*steps, SamplerStep("greedy"))
    if sampling.top_k > 0:
        steps.append(SamplerStep("top_k", (sampling.top_k,)))
    if 0 < sampling.top_p < 1:
        steps.append(SamplerStep("top_p", (sampling.top_p,)))
    if sampling.min_p > 0:
        steps.append(SamplerStep("min_p", (sampling.min_p,)))
    if sampling.temperature != 1.0:
        steps.append(SamplerStep("temp", (sampling.temperature,)))
    return (*steps, SamplerStep("dist", (seed,)))


def seed_of(sampling: Sampling) -> int:
    """The seed to use, 32 bits; a new one where none is given."""
    if sampling.seed is None:
        return secrets.randbelow(_RANDOM_SEED_BOUND)
    return sampling.seed % _RANDOM_SEED_BOUND


def build_sampler(library: Any, sampling: Sampling, n_vocab: int) -> Any:
    """A `llama_sampler` chain; the caller frees it with `llama_sampler_free`."""
    parameters = library.llama_sampler_chain_default_params()
    parameters.no_perf = True
    chain = library.llama_sampler_chain_init(parameters)
    for step in sampler_steps(sampling, seed_of(sampling)):
        library.llama_sampler_chain_add(chain, _build_step(library, step, n_vocab))
    return chain


def _build_step(library: Any, step: SamplerStep, n_vocab: int) -> Any:
    value = step.arguments[0] if step.arguments else 0.0
    builders: dict[str, Callable[[], Any]] = {
        "penalties": lambda: library.llama_sampler_init_penalties(n_vocab, PENALTY_WINDOW, value, 0.0, 0.0),
        "greedy": lambda: library.llama_sampler_init_greedy(),
        "top_k": lambda: library.llama_sampler_init_top_k(int(value)),
        "top_p": lambda: library.llama_sampler_init_top_p(value, 1),
        "min_p": lambda: library.llama_sampler_init_min_p(value, 1),
        "temp": lambda: library.llama_sampler_init_temp(value),
        "dist": lambda: library.llama_sampler_init_dist(int(value)),
    }
    return builders[step.name]()
