from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from localai_app.engine.protocol import Sampling
from localai_app.engine.worker.sampler import sampler_steps, seed_of


def names(sampling: Sampling) -> list[str]:
    return [step.name for step in sampler_steps(sampling, 1)]


def test_defaults_follow_the_order_of_llama_cpp() -> None:
    assert names(Sampling()) == ["top_k", "top_p", "min_p", "temp", "dist"]


def test_zero_temperature_is_greedy() -> None:
    assert names(Sampling(temperature=0.0, top_k=5)) == ["greedy"]
    assert names(Sampling(temperature=0.0, repeat_penalty=1.1)) == ["penalties", "greedy"]


def test_neutral_values_are_left_out() -> None:
    assert names(Sampling(temperature=1.0, top_k=0, top_p=1.0, min_p=0.0)) == ["dist"]


@given(st.floats(-1, 3), st.integers(-1, 100), st.floats(-0.5, 1.5), st.floats(-0.5, 1), st.floats(-1, 2))
def test_chain_always_ends_with_a_choice(temperature: float, top_k: int, top_p: float, min_p: float, penalty: float) -> None:
    chain = names(Sampling(temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p, repeat_penalty=penalty))
    assert chain[-1] in ("greedy", "dist")
    assert len(set(chain)) == len(chain)
    assert not {"greedy", "dist"} & set(chain[:-1])


@given(st.integers(-2**70, 2**70))
def test_given_seed_fits_and_is_kept(seed: int) -> None:
    used = seed_of(Sampling(seed=seed))
    assert 0 <= used < 2**32 - 1
    assert used == seed_of(Sampling(seed=seed))
    if 0 <= seed < 2**32 - 1:
        assert used == seed


def test_seeds_differ_when_none_is_given() -> None:
    assert len({seed_of(Sampling()) for _ in range(20)}) > 1
