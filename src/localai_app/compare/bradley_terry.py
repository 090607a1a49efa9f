"""How strong contestants are, from votes between them, and how well that is known.

The model: i is preferred to j with probability 1 / (1 + exp(s_j - s_i)) (Bradley & Terry 1952, "Rank analysis of incomplete
block designs"). A tie counts as half a win for each. One winner among several counts as a win over each of the others: for
such votes this estimate is consistent (Azari Soufiani et al. 2013, "Generalized method-of-moments for rank aggregation",
position-1 breaking).

The likelihood alone has no maximum where somebody won or lost every vote (Hunter 2004, "MM algorithms for generalized
Bradley-Terry models", assumption 1). So each contestant is given a win and a loss against an imagined one of middling
strength, which is half of each between any two.

Intervals: the Bayesian bootstrap (Rubin 1981), which weighs each vote with an exponential random number in place of drawing
it zero to several times. The imagined results are weighed too: for two contestants that comes close to Jeffreys' interval of
a proportion, so that three wins out of three do not look certain. As estimates follow the votes that they are made from,
intervals are widened by v / (v - p) for v votes and p free strengths (the mean of the correction HC3, MacKinnon & White
1985).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Places = NDArray[np.intp]

PRIOR = 1.0
"""Wins, and losses, of each contestant against an imagined one."""
POINTS_PER_STRENGTH = 400 / math.log(10)
"""Elo's scale: 400 points are odds of ten to one."""
DRAWS = 500
LEVEL = 0.95
_LEAST_WEIGHT = 1e-4
"""Of an imagined result: rarer than the ends of an interval, and it keeps the strength of who always wins within bounds."""
_STEPS, _PRECISION = 200, 1e-9
_CHUNK_CELLS = 2_000_000
"""Numbers held at once while votes are weighed: 16 MB."""


class Ballot(NamedTuple):
    """One vote. `winner` None: a tie between all."""

    contestants: tuple[int, ...]
    winner: int | None
    cluster: int = -1
    """Votes of one cluster say much the same (one prompt asked several times); -1: it stands for itself."""


@dataclass(frozen=True, slots=True)
class Strengths:
    """By contestant, in natural logarithms of odds. Each group has a mean of 0, each contestant counted as often as it was
    judged.
    """

    values: tuple[float, ...]
    lows: tuple[float, ...]
    highs: tuple[float, ...]
    """Ends of the 95% intervals."""
    groups: tuple[tuple[int, ...], ...]
    """Contestants that votes connect, directly or through others; the group with most votes first. Strengths of different
    groups cannot be compared. Who was never judged is in none.
    """


class _Duels(NamedTuple):
    """Results between pairs, one row each: `better` beat `worse` by `share` (1, or 0.5 and a row the other way for a tie)."""

    better: Places
    worse: Places
    share: Floats
    vote: Places


def win_share(strength: float, other: float) -> float:
    """How often the first is preferred to the second, ties counted half; from 0.0 to 1.0."""
    return 0.5 * (1 + math.tanh((strength - other) / 2))


def fit(n: int, ballots: Sequence[Ballot], *, seed: int = 0, draws: int = DRAWS) -> Strengths:
    """Strengths of contestants 0..n-1 with intervals; the same for the same votes and seed.

    Where votes come in clusters, votes and whole clusters are weighed in turn, and the wider interval of the two counts.
    """
    import numpy as np

    duels = _duels(ballots)
    if not len(duels.share):
        return Strengths((0.0,) * n, (-math.inf,) * n, (math.inf,) * n, ())
    counts = np.zeros((1, n, n))
    np.add.at(counts[0], (duels.better, duels.worse), duels.share)
    groups = _groups(counts[0] + counts[0].T)
    half = np.full((1, n), PRIOR)
    values = _centred(_strengths(counts, half, half), counts[0], groups)[0]
    lows, highs = values.copy(), values.copy()
    for units in _units(ballots, duels.vote):
        drawn = _centred(_drawn_strengths(n, duels, units, seed, draws), counts[0], groups)
        ends = np.percentile(drawn, [50 * (1 - LEVEL), 50 * (1 + LEVEL)], axis=0)
        wider = values + (ends - values) * _widening(groups, int(units.max()) + 1)
        lows, highs = np.minimum(lows, wider[0]), np.maximum(highs, wider[1])
    never = np.ones(n, dtype=bool)
    never[[place for group in groups for place in group]] = False
    lows[never], highs[never] = -np.inf, np.inf
    return Strengths(tuple(values.tolist()), tuple(lows.tolist()), tuple(highs.tolist()), groups)


def _duels(ballots: Sequence[Ballot]) -> _Duels:
    import numpy as np

    rows: list[tuple[int, int, float, int]] = []
    for vote, ballot in enumerate(ballots):
        if ballot.winner is not None:
            rows += [(ballot.winner, other, 1.0, vote) for other in ballot.contestants if other != ballot.winner]
        else:
            rows += [(one, other, 0.5, vote) for one in ballot.contestants for other in ballot.contestants if one != other]
    table = np.array(rows, dtype=float).reshape(-1, 4)
    better, worse, vote_numbers = (table[:, column].astype(np.intp) for column in (0, 1, 3))
    return _Duels(better, worse, table[:, 2], vote_numbers)


def _units(ballots: Sequence[Ballot], votes: Places) -> list[Places]:
    """What is weighed as one, as a number for each duel: votes, and clusters where these are fewer."""
    import numpy as np

    clusters: dict[int, int] = {}
    numbers = [
        clusters.setdefault(ballot.cluster if ballot.cluster >= 0 else -2 - vote, len(clusters))
        for vote, ballot in enumerate(ballots)]
    return [votes] if len(clusters) == len(ballots) else [votes, np.array(numbers, dtype=np.intp)[votes]]


def _drawn_strengths(n: int, duels: _Duels, units: Places, seed: int, draws: int) -> Floats:
    """Strengths (draws, n), each from votes weighed at random."""
    import numpy as np

    random = np.random.default_rng(seed)
    pairs = duels.better * n + duels.worse
    order = np.argsort(pairs, kind="stable")
    shares, units = duels.share[order], units[order]
    found, starts = np.unique(pairs[order], return_index=True)
    n_units = int(units.max()) + 1
    chunk = max(1, _CHUNK_CELLS // max(len(pairs), n_units, n * n))
    results = []
    for first in range(0, draws, chunk):
        size = min(chunk, draws - first)
        weights = random.exponential(size=(size, n_units))
        counts = np.zeros((size, n * n))
        counts[:, found] = np.add.reduceat(weights[:, units] * shares, starts, axis=1)
        imagined = np.maximum(random.gamma(PRIOR, size=(2, size, n)), _LEAST_WEIGHT)
        results.append(_strengths(counts.reshape(size, n, n), imagined[0], imagined[1]))
    return np.concatenate(results)


def _strengths(counts: Floats, wins: Floats, losses: Floats) -> Floats:
    """The most likely strengths (batch, n) for `counts` (batch, winner, loser) and results against an imagined contestant at
    0.

    Newton's steps, shortened so that each surely gets closer: by ln(1 + d) / d with d = sqrt(2) * |step|, as the logistic
    loss is generalized self-concordant (Sun & Tran-Dinh 2019, "Generalized self-concordant functions: a recipe for
    Newton-type methods").
    """
    import numpy as np

    batch, n = wins.shape
    both = counts + counts.transpose(0, 2, 1)
    won = counts.sum(axis=2) + wins
    strengths = np.zeros((batch, n))
    diagonal = np.arange(n)
    for _ in range(_STEPS):
        likely = 0.5 * (1 + np.tanh((strengths[:, :, None] - strengths[:, None, :]) / 2))
        middling = 0.5 * (1 + np.tanh(strengths / 2))
        slope = won - (both * likely).sum(axis=2) - (wins + losses) * middling
        curvature = -both * likely * (1 - likely)
        curvature[:, diagonal, diagonal] = -curvature.sum(axis=2) + (wins + losses) * middling * (1 - middling)
        step = np.linalg.solve(curvature, slope[:, :, None])[:, :, 0]
        reach = np.sqrt(2 * (step * step).sum(axis=1, keepdims=True)) + 1e-300
        strengths += step * np.log1p(reach) / reach
        if np.abs(step).max(initial=0.0) < _PRECISION:
            break
    return strengths


def _widening(groups: tuple[tuple[int, ...], ...], n_units: int) -> float:
    n_free = sum(len(group) - 1 for group in groups)
    return n_units / max(1, n_units - n_free)


def _centred(strengths: Floats, counts: Floats, groups: tuple[tuple[int, ...], ...]) -> Floats:
    """The same (batch, n) with a mean of 0 in each group, weighed by how often each was judged."""
    judged = counts.sum(axis=0) + counts.sum(axis=1)
    centred = strengths.copy()
    for group in groups:
        places = list(group)
        share = judged[places] / judged[places].sum()
        centred[:, places] -= (strengths[:, places] @ share)[:, None]
    return centred


def _groups(met: Floats) -> tuple[tuple[int, ...], ...]:
    """What votes connect, as places in order; who met nobody is left out."""
    seen: set[int] = set()
    groups: list[tuple[int, ...]] = []
    for start in range(len(met)):
        if start in seen or not met[start].any():
            continue
        group, waiting = {start}, [start]
        while waiting:
            fresh = {int(other) for other in met[waiting.pop()].nonzero()[0]} - group
            group |= fresh
            waiting += fresh
        seen |= group
        groups.append(tuple(sorted(group)))
    return tuple(sorted(groups, key=lambda group: -float(met[list(group)].sum())))
