"""Side by side or in turn: memory, limits, speeds, wishes, threads, order; and what is done meanwhile."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from localai_app.compare.comparison import Way
from localai_app.compare.schedule import (
    PROCESSOR,
    WORTH_SHARING,
    Circumstances,
    ContestantNeed,
    DeviceUse,
    loads_ahead,
    make_schedule,
    shared_ratio,
    shuffled,
)
from localai_app.units import GIB

EIGHT_CORES = Circumstances(8)


def on_processor(gib: float, tps: float | None = 10.0, usable: float = 16.0) -> ContestantNeed:
    return ContestantNeed((DeviceUse(PROCESSOR, round(gib * GIB), round(usable * GIB)),), tps)


def on_gpu(gib: float, tps: float | None = 50.0, *, usable: float = 8.0, name: str = "CUDA0") -> ContestantNeed:
    return ContestantNeed((
        DeviceUse(PROCESSOR, GIB // 4, 16 * GIB, computes=False), DeviceUse(name, round(gib * GIB), round(usable * GIB))), tps)


BROKEN = ContestantNeed(problem="It is incomplete.")


def test_alike_models_that_fit_run_side_by_side_and_it_says_what_they_share() -> None:
    schedule = make_schedule([on_processor(2), on_processor(3)], EIGHT_CORES)
    assert schedule.way is Way.SIDE_BY_SIDE
    assert schedule.reason == (
        "Side by side: together they take 5.0 GiB, which fits; they share the 8 cores (4 threads each), so their speeds are "
        "those of a shared computer.")
    assert schedule.threads == (4, 4)
    assert schedule.peak_bytes == 5 * GIB
    assert schedule.meanwhile == ""


def test_what_does_not_fit_at_once_runs_in_turn_with_the_numbers() -> None:
    schedule = make_schedule([on_processor(10), on_processor(9)], EIGHT_CORES)
    assert schedule.way is Way.IN_TURN
    assert schedule.reason == "In turn: together they would take 19.0 GiB of main memory, and 16.0 GiB can be used."
    assert schedule.threads == (8, 8)
    assert schedule.peak_bytes == 10 * GIB
    assert "the file of the next one is read ahead" in schedule.meanwhile
    assert not schedule.prepares_next


def test_the_gpu_has_room_for_one_of_three() -> None:
    schedule = make_schedule([on_gpu(5), on_gpu(6), on_gpu(4)], EIGHT_CORES)
    assert schedule.way is Way.IN_TURN
    assert schedule.reason == "In turn: together they would take 15.0 GiB on CUDA0, and 8.0 GiB can be used."
    assert sorted(schedule.order) == [0, 1, 2]


def test_the_limit_counts_all_devices_together() -> None:
    needs = [on_gpu(4), on_processor(4)]
    assert make_schedule(needs, Circumstances(8, limit_bytes=9 * GIB)).way is Way.SIDE_BY_SIDE
    schedule = make_schedule(needs, Circumstances(8, limit_bytes=8 * GIB))
    assert schedule.way is Way.IN_TURN
    assert schedule.reason == "In turn: together they would take 8.2 GiB, and the limit is 8.0 GiB."


def test_a_gpu_without_memory_of_its_own_takes_main_memory() -> None:
    shared = ContestantNeed((DeviceUse("Metal", 10 * GIB, 16 * GIB, shares_host=True),), 20.0)
    schedule = make_schedule([shared, on_processor(10)], EIGHT_CORES)
    assert "together they would take 20.0 GiB of main memory" in schedule.reason


def test_unequal_models_are_faster_in_turn_unless_this_computer_showed_otherwise() -> None:
    needs = [on_processor(2, 40.0), on_processor(3, 10.0)]
    schedule = make_schedule(needs, EIGHT_CORES)
    assert schedule.way is Way.IN_TURN
    assert schedule.reason == (
        "In turn, which is faster: side by side, all together would write 62% of what the fastest writes alone "
        "(25 tok/s instead of 40 tok/s).")
    assert make_schedule(needs, Circumstances(8, gain=1.5)).way is Way.SIDE_BY_SIDE
    assert make_schedule([on_processor(2), on_processor(2)], Circumstances(8, gain=0.8)).way is Way.IN_TURN


def test_models_on_different_devices_do_not_slow_each_other_down() -> None:
    schedule = make_schedule([on_gpu(4, 50.0), on_processor(3, 8.0), on_gpu(4, 60.0, name="CUDA1")], EIGHT_CORES)
    assert schedule.way is Way.SIDE_BY_SIDE
    assert schedule.reason == "Side by side: together they take 11.5 GiB, which fits."
    assert schedule.threads == (1, 6, 1)


def test_a_chosen_way_is_taken_as_far_as_memory_allows() -> None:
    unequal = [on_processor(2, 40.0), on_processor(3, 10.0)]
    chosen = make_schedule(unequal, Circumstances(8, wish=Way.SIDE_BY_SIDE))
    assert chosen.way is Way.SIDE_BY_SIDE
    assert chosen.reason.endswith("those of a shared computer, and in turn would be faster.")
    assert make_schedule([on_processor(1)] * 2, Circumstances(8, wish=Way.IN_TURN)).reason == "In turn, as chosen."
    too_large = make_schedule([on_processor(9)] * 2, Circumstances(8, wish=Way.SIDE_BY_SIDE))
    assert too_large.way is Way.IN_TURN
    assert too_large.reason.startswith("In turn, although side by side was chosen: together they would take 18.0 GiB")


def test_contestants_that_cannot_be_loaded_take_no_part() -> None:
    assert make_schedule([on_processor(1), BROKEN, on_processor(1)], EIGHT_CORES).threads == (4, 1, 4)
    assert make_schedule([on_processor(1), BROKEN], EIGHT_CORES).reason == "In turn: only one of them can be loaded."
    assert make_schedule([BROKEN, BROKEN], EIGHT_CORES).reason == "None of them can be loaded."


def test_the_next_model_is_loaded_early_only_where_that_spoils_no_speed() -> None:
    assert loads_ahead(on_gpu(4), on_processor(3), 0)
    assert loads_ahead(on_gpu(4), on_gpu(4, name="CUDA1"), 0)
    assert not loads_ahead(on_gpu(3), on_gpu(3), 0), "the same GPU"
    assert not loads_ahead(on_processor(3), on_gpu(4), 0), "all cores are busy"
    assert not loads_ahead(on_gpu(4), on_processor(3), 5 * GIB), "both are over the limit"
    assert not loads_ahead(on_gpu(4), BROKEN, 0)
    in_turn = make_schedule([on_gpu(4), on_processor(3)], Circumstances(8, wish=Way.IN_TURN, seed=next(
        seed for seed in range(50) if shuffled(2, seed) == (0, 1))))
    assert in_turn.prepares_next
    assert in_turn.peak_bytes == 29 * GIB // 4
    assert "the next one is loaded where that takes nothing from it" in in_turn.meanwhile


def test_the_order_is_decided_by_the_seed_and_no_place_is_favoured() -> None:
    orders = [shuffled(3, seed) for seed in range(600)]
    assert orders == [shuffled(3, seed) for seed in range(600)]
    for place in range(3):
        for contestant in range(3):
            assert 150 < sum(order[place] == contestant for order in orders) < 250


needs = st.builds(
    ContestantNeed,
    st.lists(st.builds(
        DeviceUse, st.sampled_from([PROCESSOR, "CUDA0", "CUDA1"]), st.integers(0, 2**36), st.integers(0, 2**36), st.booleans(),
        st.booleans()), max_size=3).map(tuple),
    st.none() | st.floats(0.01, 1e4), st.integers(0, 64), st.sampled_from(["", "", "", "broken"]))
circumstances = st.builds(
    Circumstances, st.integers(1, 128), st.integers(0, 2**37), st.none() | st.sampled_from(list(Way)), st.integers(0, 2**32),
    st.floats(0.2, 4.0))


@given(st.lists(needs, min_size=1, max_size=6), circumstances)
def test_every_schedule_keeps_its_promises(contestants: list[ContestantNeed], facts: Circumstances) -> None:
    schedule = make_schedule(contestants, facts)
    assert sorted(schedule.order) == list(range(len(contestants)))
    assert len(schedule.threads) == len(contestants)
    assert all(threads >= 1 for threads in schedule.threads)
    assert schedule.reason.endswith(".")
    loadable = [need for need in contestants if not need.problem]
    if schedule.way is Way.SIDE_BY_SIDE:
        total = sum(need.total_bytes for need in loadable)
        assert not facts.limit_bytes or total <= facts.limit_bytes
        assert len(loadable) >= 2
        assert facts.wish is Way.SIDE_BY_SIDE or shared_ratio(loadable, facts.gain) >= WORTH_SHARING
        threads = [count for count, need in zip(schedule.threads, contestants, strict=True) if not need.problem]
        assert sum(threads) <= max(facts.cores, len(loadable)), "more threads than cores"
        assert len({count for count, need in zip(threads, loadable, strict=True) if PROCESSOR in need.computed_on}) <= 1
    assert make_schedule(contestants, facts) == schedule
