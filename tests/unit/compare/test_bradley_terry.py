from __future__ import annotations

import math
from collections.abc import Sequence

import choix
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localai_app.compare.bradley_terry import POINTS_PER_STRENGTH, Ballot, fit, win_share


def votes_of(strengths: Sequence[float], n_votes: int, random: np.random.Generator, *, at_once: int = 2) -> list[Ballot]:
    """Votes as the model says that people give them, between contestants met at random."""
    met = random.permuted(np.tile(np.arange(len(strengths)), (n_votes, 1)), axis=1)[:, :at_once]
    liked = np.asarray(strengths)[met] + random.gumbel(size=met.shape)
    winners = met[np.arange(n_votes), liked.argmax(axis=1)]
    return [Ballot(tuple(places), winner) for places, winner in zip(met.tolist(), winners.tolist(), strict=True)]


def centred(strengths: Sequence[float], ballots: Sequence[Ballot]) -> np.ndarray:
    """With the mean that estimates have: each contestant as often as it was judged."""
    judged = np.zeros(len(strengths))
    for ballot in ballots:
        for place in ballot.contestants:
            judged[place] += 1 if ballot.winner not in (place, None) else len(ballot.contestants) - 1
    return np.asarray(strengths) - judged @ np.asarray(strengths) / judged.sum()


def of_choix(n: int, ballots: Sequence[Ballot]) -> np.ndarray:
    """The same estimate by choix: everything twice, since it takes whole wins, and one win and loss against one that is
    imagined.
    """
    data = [pair for place in range(n) for pair in ((place, n), (n, place))] * 2
    for ballot in ballots:
        for one in ballot.contestants:
            for other in ballot.contestants:
                if one != other and ballot.winner in (one, None):
                    data += [(one, other)] * (1 if ballot.winner is None else 2)
    by_optimizing = choix.opt_pairwise(n + 1, data, alpha=0.0, tol=1e-9)
    by_spectrum = choix.ilsr_pairwise(n + 1, data, alpha=0.0)
    assert by_optimizing - by_optimizing.mean() == pytest.approx(by_spectrum - by_spectrum.mean(), abs=1e-4)
    return centred(by_spectrum[:n], ballots)


BALLOTS = st.lists(
    st.permutations(range(4)).flatmap(lambda met: st.integers(2, 4).flatmap(
        lambda n: st.builds(Ballot, st.just(tuple(met[:n])), st.sampled_from((None, *met[:n]))))),
    min_size=1, max_size=25)


def connects_all(ballots: Sequence[Ballot]) -> bool:
    return len(fit(4, ballots, draws=2).groups[0]) == 4


@settings(max_examples=20, deadline=None)
@given(BALLOTS.filter(connects_all))
def test_strengths_are_those_of_choix(ballots: list[Ballot]) -> None:
    assert fit(4, ballots, draws=2).values == pytest.approx(of_choix(4, ballots), abs=1e-5)


def test_planted_strengths_are_recovered() -> None:
    planted = [1.2, 0.6, 0.0, -0.4, -1.4]
    ballots = votes_of(planted, 6000, np.random.default_rng(1))
    found = fit(5, ballots)
    assert found.values == pytest.approx(centred(planted, ballots), abs=0.12)
    assert found.groups == ((0, 1, 2, 3, 4),)


def test_planted_strengths_are_recovered_from_one_winner_among_several() -> None:
    planted = [0.9, 0.3, -0.2, -1.0]
    ballots = votes_of(planted, 4000, np.random.default_rng(2), at_once=4)
    assert fit(4, ballots).values == pytest.approx(centred(planted, ballots), abs=0.12)


def test_intervals_cover_what_was_planted_as_often_as_they_say() -> None:
    random = np.random.default_rng(7)
    covered = np.zeros(4)
    for run in range(300):
        planted = random.normal(0.0, 1.0, 4)
        ballots = votes_of(planted, 80, random)
        found, truth = fit(4, ballots, seed=run, draws=200), centred(planted, ballots)
        covered += (np.array(found.lows) <= truth) & (truth <= np.array(found.highs))
    assert all(0.90 <= share <= 0.99 for share in covered / 300), covered / 300


def test_who_always_wins_is_strong_but_nobody_knows_how_strong() -> None:
    few = fit(2, [Ballot((0, 1), 0)] * 3)
    assert few.lows[0] < 0.2
    assert few.highs[0] > 2.0
    many = fit(2, [Ballot((0, 1), 0)] * 300)
    assert math.isfinite(many.highs[0])
    assert many.values[0] > few.values[0]
    assert many.lows[0] > many.highs[1]


def test_ties_and_votes_the_other_way_round_make_equals() -> None:
    found = fit(3, [Ballot((0, 1, 2), None), Ballot((0, 1), 0), Ballot((1, 0), 1), Ballot((2, 1), None)])
    assert found.values == pytest.approx((0.0, 0.0, 0.0), abs=1e-9)
    assert all(low < 0 < high for low, high in zip(found.lows, found.highs, strict=True))


def test_what_no_votes_connect_is_told_apart() -> None:
    ballots = [Ballot((0, 1), 0)] * 4 + [Ballot((2, 4), 4)] * 5
    found = fit(6, ballots)
    assert found.groups == ((2, 4), (0, 1))
    assert found.values[0] == pytest.approx(-found.values[1])
    assert (found.lows[3], found.highs[5]) == (-math.inf, math.inf)
    alone = fit(2, [Ballot((0, 1), 0)] * 4)
    assert found.values[:2] == pytest.approx(alone.values)


def test_no_votes_say_nothing() -> None:
    nothing = fit(3, [])
    assert nothing.groups == ()
    assert nothing.highs == (math.inf,) * 3
    assert fit(2, [Ballot((1, 1), 1)]).groups == ()


def test_a_prompt_that_was_asked_often_does_not_count_as_many() -> None:
    apart = [Ballot((0, 1), number % 4 // 3) for number in range(40)]
    alike = [Ballot((0, 1), number % 4 // 3, cluster=number % 4) for number in range(40)]
    width = [found.highs[0] - found.lows[0] for found in (fit(2, apart, draws=2000), fit(2, alike, draws=2000))]
    assert width[1] > 1.5 * width[0]
    own_clusters = [Ballot(ballot.contestants, ballot.winner, cluster) for cluster, ballot in enumerate(apart)]
    assert fit(2, own_clusters) == fit(2, apart)


def test_the_same_votes_give_the_same_figures() -> None:
    ballots = votes_of([0.5, 0.0, -0.5], 40, np.random.default_rng(3))
    assert fit(3, ballots, seed=4) == fit(3, ballots, seed=4)
    assert fit(3, ballots, seed=4).lows != fit(3, ballots, seed=5).lows


@settings(max_examples=20, deadline=None)
@given(BALLOTS, st.permutations(range(4)))
def test_names_do_not_matter(ballots: list[Ballot], others: list[int]) -> None:
    def renamed(ballot: Ballot) -> Ballot:
        winner = None if ballot.winner is None else others[ballot.winner]
        return Ballot(tuple(others[place] for place in ballot.contestants), winner)

    straight, mixed = fit(4, ballots, draws=2), fit(4, [renamed(ballot) for ballot in ballots], draws=2)
    assert [mixed.values[others[place]] for place in range(4)] == pytest.approx(straight.values, abs=1e-6)


@settings(max_examples=20, deadline=None)
@given(BALLOTS)
def test_the_estimate_lies_within_its_interval_and_another_win_never_weakens(ballots: list[Ballot]) -> None:
    found = fit(4, ballots, draws=100)
    for low, value, high in zip(found.lows, found.values, found.highs, strict=True):
        assert low <= value <= high
    more = fit(4, [*ballots, Ballot((0, 1), 0)], draws=2)
    before, after = (win_share(one.values[0], one.values[1]) for one in (found, more))
    if {0, 1} <= set(found.groups[0]):
        assert after >= before - 1e-9


def test_a_difference_in_words_of_wins() -> None:
    assert win_share(0.3, 0.3) == 0.5
    assert win_share(400 / POINTS_PER_STRENGTH, 0.0) == pytest.approx(10 / 11)
    assert win_share(0.0, 3000.0) == pytest.approx(0.0)
