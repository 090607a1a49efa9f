"""From what was measured to what is predicted next: factors, lines in the depth, and what never happens."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localai_app.fit.calibration import (
    OTHERS_SPREAD,
    Calibration,
    Run,
    token_factor,
    typical_error,
    typical_overhead,
)
from localai_app.fit.result import SpeedBasis
from localai_app.fit.speed_parts import DeviceCost, SpeedParts, Spread, TokenCost
from localai_app.store.records import Measurement
from tests.helpers.measurements import MEASUREMENT, answer_of, load_of

MIB = 1024 * 1024
TOKEN = TokenCost(read_s=8e-3, fixed_s=2e-3, per_position_s=1e-6)
PARTS = SpeedParts((DeviceCost("main memory", "cpu", TOKEN, Spread(0.3, 0.5), TokenCost(compute_s=2e-3), 0.5),))
RUN = Run(MEASUREMENT.model_key, "Test CPU", (), "cpu", 0, "f16")


def answers_by(
    truth: TokenCost, depths: tuple[int, ...], model_key: str = RUN.model_key, **fields: object,
) -> list[Measurement]:
    return [
        answer_of(model_key, depth=depth, formula_tps=1 / TOKEN.at(depth), measured_tps=1 / truth.at(depth), **fields)
        for depth in depths]


def test_nothing_measured_changes_nothing() -> None:
    corrected = Calibration().speed(RUN, PARTS)
    assert (corrected.parts, corrected.basis, corrected.reason) == (PARTS, SpeedBasis.FORMULA, "")
    assert Calibration().speed(RUN, None).basis is SpeedBasis.UNKNOWN
    assert Calibration().host_overhead_bytes(has_gpu=False) == 0


def test_the_very_model_at_two_depths_gives_a_third() -> None:
    truth = TOKEN.scaled(1.4, 8.0)
    corrected = Calibration(answers_by(truth, (16, 6000))).speed(RUN, PARTS)
    assert corrected.basis is SpeedBasis.MEASURED_HERE
    assert corrected.parts is not None
    assert corrected.parts.token.at(1500) == pytest.approx(truth.at(1500), rel=0.01)
    assert "2 answers of this model, 16 to 6,000 tokens into a chat" in corrected.reason


def test_one_busy_moment_does_not_bend_the_line() -> None:
    truth = TOKEN.scaled(1.4, 8.0)
    answers = [*answers_by(truth, (1900, 2000, 2100, 4000)), answer_of(depth=2000, formula_tps=80.0, measured_tps=20.0)]
    corrected = Calibration(answers).speed(RUN, PARTS)
    assert corrected.parts is not None
    assert corrected.parts.token.at(3000) == pytest.approx(truth.at(3000), rel=0.1)


def test_one_depth_corrects_both_terms_and_stays_in_doubt_about_the_depth() -> None:
    corrected = Calibration(answers_by(TOKEN.scaled(2.0, 2.0), (500,))).speed(RUN, PARTS)
    assert corrected.parts is not None
    low, high = corrected.parts.token_range(500) or (0.0, 0.0)
    assert low < 1 / (2 * TOKEN.at(500)) < high
    assert high / low < 1.2
    assert corrected.parts.devices[0].spread.depth == 0.5


def test_a_model_measured_where_no_formula_tells_has_its_line() -> None:
    truth = TokenCost(read_s=5e-3, per_position_s=2e-6)
    measured = [answer_of(depth=depth, measured_tps=1 / truth.at(depth)) for depth in (10, 4000)]
    corrected = Calibration(measured).speed(RUN, None)
    assert corrected.basis is SpeedBasis.MEASURED_HERE
    assert corrected.parts is not None
    assert corrected.parts.token.at(2000) == pytest.approx(truth.at(2000), rel=0.02)


@pytest.mark.parametrize("change", [
    {"kv_type": "q8_0"}, {"gpu_layers": 3}, {"model_key": "another"}])
def test_measured_here_is_only_the_very_model_place_and_kv_type(change: dict[str, object]) -> None:
    answers = [answer_of(depth=100, formula_tps=100.0, measured_tps=50.0)]
    run = Run(**{**{name: getattr(RUN, name) for name in RUN.__slots__}, **change})  # type: ignore[arg-type]
    corrected = Calibration(answers).speed(run, PARTS)
    assert corrected.basis is SpeedBasis.CALIBRATED
    assert corrected.parts is not None
    assert TOKEN.at(100) < corrected.parts.token.at(100) < 2 * TOKEN.at(100)


@pytest.mark.parametrize("change", [{"processor": "Other CPU"}, {"gpus": ("RTX 4090",)}, {"place": "gpu"}])
def test_other_devices_are_not_corrected(change: dict[str, object]) -> None:
    answers = [answer_of(depth=100, formula_tps=100.0, measured_tps=50.0)]
    run = Run(**{**{name: getattr(RUN, name) for name in RUN.__slots__}, **change})  # type: ignore[arg-type]
    assert Calibration(answers).speed(run, PARTS).basis is SpeedBasis.FORMULA


def test_more_models_weigh_more_and_narrow_the_range() -> None:
    models = [f"owner/model-{number}" for number in range(6)]
    values, widths = [], []
    for count in (1, 3, 6):
        answers = [one for key in models[:count] for one in answers_by(TOKEN.scaled(2.0, 2.0), (100, 200, 300), key)]
        corrected = Calibration(answers).speed(RUN, PARTS)
        assert corrected.basis is SpeedBasis.CALIBRATED
        assert corrected.parts is not None
        assert f"{3 * count} answers measured on this computer" in corrected.reason
        values.append(corrected.parts.token.at(100) / TOKEN.at(100))
        low, high = corrected.parts.token_range(100) or (0.0, 0.0)
        widths.append(high / low)
    assert values == sorted(values)
    assert 1.3 < values[0] < values[-1] < 2.0
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] > 1 + OTHERS_SPREAD


def test_one_chatty_model_does_not_outvote_the_others() -> None:
    answers = [
        *[one for _ in range(50) for one in answers_by(TOKEN.scaled(10.0, 10.0), (100,), "owner/chatty")],
        *answers_by(TOKEN, (100,), "owner/second"), *answers_by(TOKEN, (100,), "owner/third")]
    factor = token_factor(answers, "f16")
    assert factor is not None
    assert factor.value == pytest.approx(1.0)


def test_prompts_are_corrected_by_prompts() -> None:
    answers = [
        answer_of(depth=100, formula_tps=100.0, measured_tps=100.0, formula_prompt_tps=500.0, measured_prompt_tps=250.0)]
    corrected = Calibration(answers).speed(RUN, PARTS)
    assert corrected.parts is not None
    assert corrected.parts.prompt is not None
    assert corrected.parts.prompt.base_s == pytest.approx(4e-3)


def test_memory_is_corrected_upwards_only_and_cautiously() -> None:
    assert typical_overhead([]) == 0
    assert typical_overhead([-100 * MIB]) == 0
    assert typical_overhead([90 * MIB]) == 45 * MIB
    assert typical_overhead([90 * MIB, 100 * MIB, 900 * MIB]) == 75 * MIB
    calibration = Calibration([
        load_of(host=40 * MIB), load_of(host=200 * MIB, gpu=400 * MIB, gpus=("RTX 4090",), place="gpu")])
    assert calibration.host_overhead_bytes(has_gpu=False) == 20 * MIB
    assert calibration.host_overhead_bytes(has_gpu=True) == 100 * MIB
    assert calibration.gpu_overhead_bytes("RTX 4090") == 200 * MIB
    assert calibration.gpu_overhead_bytes("RTX 3090") == 0


def test_the_typical_error_is_the_median() -> None:
    assert typical_error([]) is None
    assert typical_error([(None, 1.0), (1.0, None), (1.0, 0.0)]) is None
    assert typical_error([(90.0, 100.0), (100.0, 100.0), (200.0, 100.0)]) == pytest.approx(0.1)


speeds = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True), st.floats(1e-3, 1e5))
measurements = st.lists(st.builds(
    answer_of, st.sampled_from([RUN.model_key, "a", "b"]), depth=st.integers(-5, 1_000_000),
    kv_type=st.sampled_from(["f16", "q8_0"]), place=st.sampled_from(["cpu", "gpu"]), formula_tps=speeds, measured_tps=speeds,
    formula_prompt_tps=speeds, measured_prompt_tps=speeds, host_overhead_bytes=st.one_of(st.none(), st.integers()),
), max_size=12)


@given(measurements, st.booleans())
def test_no_measurement_breaks_a_prediction(found: list[Measurement], knows_formula: bool) -> None:
    calibration = Calibration(found)
    corrected = calibration.speed(RUN, PARTS if knows_formula else None)
    assert calibration.host_overhead_bytes(has_gpu=False) >= 0
    if corrected.parts is None:
        assert corrected.basis is SpeedBasis.UNKNOWN
        return
    for depth in (0, 512, 100_000):
        low, high = corrected.parts.token_range(depth) or (0.0, 0.0)
        assert 0 < low <= high < math.inf
    assert bool(corrected.reason) is (corrected.basis in (SpeedBasis.MEASURED_HERE, SpeedBasis.CALIBRATED))


@given(st.floats(0.2, 5.0), st.integers(1, 8), st.integers(1, 8))
def test_a_factor_lies_between_none_and_what_was_measured(ratio: float, models: int, each: int) -> None:
    answers = [
        one for number in range(models) for one in answers_by(TOKEN.scaled(ratio, ratio), (100,) * each, f"owner/{number}")]
    factor = token_factor(answers, "f16")
    assert factor is not None
    assert min(1.0, ratio) - 1e-9 <= factor.value <= max(1.0, ratio) + 1e-9
    assert 0 < factor.weight < 1
