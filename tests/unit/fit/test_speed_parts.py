"""What a token costs, taken apart, put together and corrected."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localai_app.fit.speed_parts import DeviceCost, SpeedParts, Spread, TokenCost

SLIDING = TokenCost(read_s=4e-3, compute_s=1e-3, fixed_s=1e-3, per_position_s=2e-6, per_window_position_s=5e-6, window=512)

seconds = st.floats(0, 1)
costs = st.builds(
    TokenCost, read_s=seconds, compute_s=seconds, fixed_s=seconds, per_position_s=seconds, per_window_position_s=seconds,
    window=st.integers(0, 300))


def test_layers_that_slide_stop_growing_at_the_window() -> None:
    assert SLIDING.base_s == pytest.approx(6e-3)
    assert SLIDING.at(100) == pytest.approx(6e-3 + 100 * 7e-6)
    assert SLIDING.at(6000) == pytest.approx(6e-3 + 6000 * 2e-6 + 512 * 5e-6)


@given(costs, st.integers(0, 400), st.integers(0, 400))
def test_a_total_is_the_sum_of_its_tokens(cost: TokenCost, start: int, count: int) -> None:
    expected = sum(cost.at(position + 0.5) for position in range(start, start + count))
    assert cost.total_s(start, start + count) == pytest.approx(expected)


@given(costs, costs, st.integers(0, 400))
def test_costs_of_devices_add_up(first: TokenCost, second: TokenCost, depth: int) -> None:
    second = TokenCost(
        second.read_s, second.compute_s, second.fixed_s, second.per_position_s, second.per_window_position_s, first.window)
    assert (first + second).at(depth) == pytest.approx(first.at(depth) + second.at(depth))


def test_both_terms_are_corrected_apart() -> None:
    corrected = SLIDING.scaled(2.0, 0.5)
    assert corrected.base_s == pytest.approx(2 * SLIDING.base_s)
    assert corrected.depth_s(3000) == pytest.approx(0.5 * SLIDING.depth_s(3000))
    assert corrected.window == SLIDING.window


def test_two_depths_decide_both_terms() -> None:
    truth = SLIDING.scaled(1.5, 3.0)
    fitted = SLIDING.fitted([(depth, truth.at(depth)) for depth in (16, 6000)])
    assert fitted.at(1500) == pytest.approx(truth.at(1500), rel=0.01)


def test_a_bend_between_two_deep_measurements_hardly_moves_the_shallow_end() -> None:
    """Beyond the processor's caches a position costs more, so that the straight line through both would begin too low."""
    token = TokenCost(read_s=9e-3, per_position_s=4.8e-6)
    measured = [(1500, 15.9e-3), (6000, 40e-3)]
    straight = token.fitted(measured, ratio_is_known=False)
    assert straight.at(0) == pytest.approx(7.87e-3, rel=0.01)
    assert straight.at(0) < token.fitted(measured).at(0) < token.at(0)
    assert token.fitted(measured).at(0) == pytest.approx(9.26e-3, rel=0.15)


def test_one_depth_corrects_both_terms_alike() -> None:
    fitted = SLIDING.fitted([(1500, 2 * SLIDING.at(1500)), (1500, 2 * SLIDING.at(1500))])
    assert fitted.at(0) == pytest.approx(2 * SLIDING.at(0))
    assert fitted.at(6000) == pytest.approx(2 * SLIDING.at(6000))
    assert SLIDING.fitted([]) == SLIDING


@given(costs, st.lists(st.tuples(st.integers(0, 100_000), st.floats(1e-6, 10)), max_size=5))
def test_a_fit_never_turns_a_cost_negative(cost: TokenCost, measured: list[tuple[float, float]]) -> None:
    fitted = cost.fitted(measured)
    assert 0 <= fitted.at(0) <= fitted.at(100) < float("inf")


def test_a_range_holds_the_spread_of_each_device() -> None:
    gpu = DeviceCost("card", "gpu", TokenCost(read_s=8e-3), Spread(0.25, 0.5), TokenCost(compute_s=1e-3), 0.5)
    cpu = DeviceCost("main memory", "cpu", TokenCost(read_s=20e-3, per_position_s=1e-5), Spread(0.5, 0.5))
    low, high = SpeedParts((gpu,)).token_range(1000) or (0.0, 0.0)
    assert (1 / low, 1 / high) == pytest.approx((8e-3 / 0.75, 8e-3 / 1.25))
    low, high = SpeedParts((gpu, cpu)).token_range(1000) or (0.0, 0.0)
    assert (1 / low, 1 / high) == pytest.approx((8e-3 / 0.75 + 30e-3 / 0.5, 8e-3 / 1.25 + 30e-3 / 1.5))
    assert SpeedParts((gpu,)).prompt_range(512) == pytest.approx((500, 1500))
    assert SpeedParts((gpu, cpu)).prompt_range(512) is None
    assert SpeedParts((gpu, cpu)).prompt is None
    assert SpeedParts((gpu, cpu)).token.at(1000) == pytest.approx(38e-3)


def test_what_takes_no_time_has_no_speed() -> None:
    nothing = DeviceCost("card", "gpu", TokenCost(), Spread(0.2, 0.2), TokenCost(), 0.2)
    assert SpeedParts((nothing,)).token_range(0) is None
    assert SpeedParts((nothing,)).prompt_range(100) is None
