from __future__ import annotations

import dataclasses
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from localai_app.engine.protocol import Sampling
from localai_app.engine.sampling import SAMPLING_SPECS, SPEC_OF, LogitBias, bias_text, parse_bias, sampling_problem
from localai_app.engine.worker.sampler import history_length, sampler_steps, seed_of

NEUTRAL = Sampling(temperature=1.0, top_k=0, top_p=1.0, min_p=0.0)
ENDS = ("greedy", "dist", "mirostat", "mirostat_v2")


def names(sampling: Sampling) -> list[str]:
    return [step.name for step in sampler_steps(sampling, 1)]


def test_defaults_follow_the_order_of_llama_cpp() -> None:
    assert names(Sampling()) == ["top_k", "top_p", "min_p", "temp", "dist"]
    everything = Sampling(
        repeat_penalty=1.1, dry_multiplier=0.8, typical_p=0.9, xtc_probability=0.5, frequency_penalty=0.1)
    assert names(everything) == ["penalties", "dry", "top_k", "typical", "top_p", "min_p", "xtc", "temp", "dist"]


def test_zero_temperature_is_greedy() -> None:
    assert names(Sampling(temperature=0.0, top_k=5)) == ["greedy"]
    assert names(Sampling(temperature=0.0, repeat_penalty=1.1)) == ["penalties", "greedy"]
    assert names(Sampling(temperature=0.0, xtc_probability=0.5)) == ["top_k", "top_p", "min_p", "xtc", "greedy"]


def test_neutral_values_are_left_out() -> None:
    assert names(NEUTRAL) == ["dist"]
    for spec in SAMPLING_SPECS:
        if spec.off is not None:
            assert names(msgspec.structs.replace(NEUTRAL, **{spec.key: spec.off})) == ["dist"], spec.key


def test_mirostat_stands_in_the_place_of_the_others() -> None:
    assert names(Sampling(mirostat=1, repeat_penalty=1.5)) == ["temp", "mirostat"]
    assert names(Sampling(mirostat=2, temperature=1.0)) == ["mirostat_v2"]


@given(st.floats(-1, 3), st.integers(-1, 100), st.floats(-0.5, 1.5), st.floats(-0.5, 1), st.floats(-1, 2), st.integers(-1, 4))
def test_chain_always_ends_with_a_choice(
    temperature: float, top_k: int, p: float, min_p: float, penalty: float, mirostat: int,
) -> None:
    chain = names(Sampling(
        temperature=temperature, top_k=top_k, top_p=p, min_p=min_p, repeat_penalty=penalty, typical_p=p, xtc_probability=min_p,
        dry_multiplier=penalty, mirostat=mirostat))
    assert chain[-1] in ENDS
    assert len(set(chain)) == len(chain)
    assert not set(ENDS) & set(chain[:-1])


def test_only_chains_that_look_back_want_the_history() -> None:
    assert history_length(Sampling()) == 0
    assert history_length(Sampling(repeat_penalty=1.1, penalty_window=32)) == 32
    assert history_length(Sampling(repeat_penalty=1.1, penalty_window=32, dry_multiplier=0.8, dry_window=500)) == 500
    assert history_length(Sampling(mirostat=2, repeat_penalty=1.1)) == 0


@given(st.integers(-2**70, 2**70))
def test_given_seed_fits_and_is_kept(seed: int) -> None:
    used = seed_of(Sampling(seed=seed))
    assert 0 <= used < 2**32 - 1
    assert used == seed_of(Sampling(seed=seed))
    if 0 <= seed < 2**32 - 1:
        assert used == seed


def test_seeds_differ_when_none_is_given() -> None:
    assert len({seed_of(Sampling()) for _ in range(20)}) > 1


def test_every_declared_number_is_one_of_the_sampling_with_a_valid_default() -> None:
    fields = {field.name for field in msgspec.structs.fields(Sampling)}
    assert set(SPEC_OF) <= fields
    assert fields - set(SPEC_OF) == {"logit_bias", "seed", "max_tokens", "stop", "grammar", "json_schema", "logprobs"}
    for spec in SAMPLING_SPECS:
        assert not spec.problem(spec.default), spec.key
        assert spec.off is None or not spec.problem(spec.off), spec.key
        assert spec.help.endswith(".")
        assert dataclasses.is_dataclass(spec)


numbers = st.floats() | st.integers(-2**40, 2**40) | st.floats(-6, 6) | st.integers(0, 100)


@given(st.sampled_from(SAMPLING_SPECS), numbers)
def test_a_value_is_refused_exactly_where_it_is_out_of_range(spec: Any, value: float) -> None:
    is_inside = not math.isnan(value) and spec.minimum <= value <= spec.maximum and (not spec.is_whole or value == int(value))
    assert bool(spec.problem(value)) != is_inside
    if is_inside:
        assert isinstance(spec.typed(value), type(spec.default))
        assert not sampling_problem(msgspec.structs.replace(Sampling(), **{spec.key: spec.typed(value)}))
    else:
        assert sampling_problem(msgspec.structs.replace(Sampling(), **{spec.key: value})).startswith(spec.label)


@pytest.mark.parametrize("wrong", [
    Sampling(grammar='root ::= "a"', json_schema="{}"), Sampling(logprobs=-1), Sampling(logprobs=21),
    Sampling(logit_bias=(LogitBias(token=1, bias=float("nan")),)),
    Sampling(logit_bias=(LogitBias(token=1, bias=1.0),) * 2000)])
def test_what_is_no_number_is_checked_too(wrong: Sampling) -> None:
    assert sampling_problem(wrong)


@pytest.mark.parametrize(("text", "token"), [
    ("42=-5", 42), ("hello=3", "hello"), ('"42"=1', "42"), ("a=b=1.5", "a=b"), (" the=0", " the")])
def test_biases_name_a_token_or_a_text(text: str, token: int | str) -> None:
    bias = parse_bias(text)
    assert bias == LogitBias(token=token, bias=float(text.rpartition("=")[2]))
    assert bias is not None
    assert parse_bias(bias_text(bias)) == bias


@pytest.mark.parametrize("text", ["", "x", "=1", "x=", "x=much", "x=nan"])
def test_biases_that_make_no_sense_are_none(text: str) -> None:
    assert parse_bias(text) is None


@given(st.text())
def test_any_text_is_a_bias_or_none(text: str) -> None:
    assert parse_bias(text) is None or "=" in text
