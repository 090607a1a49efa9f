"""What a token costs, taken apart into values that a measurement can correct.

For every plan and KV type, predicted seconds per generated token at a depth (tokens already in the cache) are

    cost.at(depth) = cost.base_s + cost.depth_s(depth)

`depth_s` is a line in the depth for models that keep the whole context, and bends at the window where layers slide; so a
measurement corrects a prediction by one factor for each of the two terms (`TokenCost.scaled`). Measurements `(depth, seconds)`
of one plan at two depths decide both factors (`TokenCost.fitted`). Prompts cost alike: each of their tokens sees those before.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import msgspec

_MEASURED_WITHIN = 0.06
"""Relative error of a measured time: what two runs of one answer differ by on a computer that does other things too."""

_FACTORS_ALIKE = 0.25
"""How far the two factors usually lie apart, as the logarithm of their ratio; further apart is possible (a Cauchy curve)."""

_MOST_APART = 3.0
"""The same, at the most (20 times): what lies further apart is a disturbed measurement, not a computer."""

_SEARCH_STEPS = 60


class TokenCost(msgspec.Struct, frozen=True):
    """Seconds that one token takes, by cause. Costs of devices add up, since layers run one after the other."""

    read_s: float = 0.0
    """Reading the active weights and recurrent states once."""
    compute_s: float = 0.0
    """What computing with them takes beyond reading them; 0.0 where reading takes longer."""
    fixed_s: float = 0.0
    """Fixed cost of the layers: starting kernels, waiting for other threads."""
    per_position_s: float = 0.0
    """Added by each position of the cache, in layers that keep the whole context."""
    per_window_position_s: float = 0.0
    """Added by each position within the window, in layers that slide."""
    window: int = 0
    """Positions that sliding layers see."""

    @property
    def base_s(self) -> float:
        """Seconds per token with an empty cache."""
        return self.read_s + self.compute_s + self.fixed_s

    def depth_s(self, depth: float) -> float:
        """Seconds that a token takes longer because `depth` tokens lie before it."""
        return self.per_position_s * depth + self.per_window_position_s * min(depth, self.window)

    def at(self, depth: float) -> float:
        """Seconds per token with `depth` tokens before it."""
        return self.base_s + self.depth_s(depth)

    def total_s(self, start: int, stop: int) -> float:
        """Seconds for all tokens at the positions `start` to `stop` (excluded)."""
        count = max(0, stop - start)
        inside = max(0, min(stop, self.window) - start)
        seen_in_window = inside * (start + min(stop, self.window)) / 2 + (count - inside) * self.window
        return (
            self.base_s * count + self.per_position_s * count * (start + stop) / 2
            + self.per_window_position_s * seen_in_window)

    def scaled(self, base_factor: float, depth_factor: float) -> TokenCost:
        """The same with both terms corrected: `base_factor * base_s + depth_factor * depth_s(depth)`."""
        return TokenCost(
            read_s=self.read_s * base_factor, compute_s=self.compute_s * base_factor, fixed_s=self.fixed_s * base_factor,
            per_position_s=self.per_position_s * depth_factor,
            per_window_position_s=self.per_window_position_s * depth_factor, window=self.window)

    def fitted(self, measured: Sequence[tuple[float, float]], *, ratio_is_known: bool = True) -> TokenCost:
        """The same, corrected by measurements: (depth, seconds per token) each.

        Both factors come from the relative errors, and from the experience that they mostly lie near each other: a computer
        that is slow at one thing is slow at the other. So the measurements decide alone where they lie far apart in depth, and
        one depth corrects both terms alike. `ratio_is_known` False: the terms are only a shape, and say nothing of each other.
        Where there are no measurements, nothing changes.
        """
        rows = [(self.base_s / seconds, self.depth_s(depth) / seconds) for depth, seconds in measured if seconds > 0]
        if not any(base + depth > 0 for base, depth in rows):
            return self
        width = _FACTORS_ALIKE if ratio_is_known else None
        steps = [_MOST_APART * step / _SEARCH_STEPS for step in range(-_SEARCH_STEPS, _SEARCH_STEPS + 1)]
        best = min(steps, key=lambda apart: (_misfit(rows, apart, width), abs(apart)))
        apart = _least(lambda at: _misfit(rows, at, width), best, _MOST_APART / _SEARCH_STEPS)
        factor = _common_factor(rows, apart)
        return self.scaled(factor, factor * math.exp(apart))

    def __add__(self, other: TokenCost) -> TokenCost:
        return TokenCost(
            read_s=self.read_s + other.read_s, compute_s=self.compute_s + other.compute_s,
            fixed_s=self.fixed_s + other.fixed_s, per_position_s=self.per_position_s + other.per_position_s,
            per_window_position_s=self.per_window_position_s + other.per_window_position_s,
            window=max(self.window, other.window))


def _common_factor(rows: Sequence[tuple[float, float]], apart: float) -> float:
    """The factor of the base that leaves the least squares of relative errors, the depth's being `exp(apart)` times it."""
    shares = [base + depth * math.exp(apart) for base, depth in rows]
    squares = sum(share * share for share in shares)
    return sum(shares) / squares if squares > 0 else 1.0


def _misfit(rows: Sequence[tuple[float, float]], apart: float, width: float | None) -> float:
    """How unlikely the factors are, as a negative logarithm: by the measurements, and by how far they lie apart."""
    factor = _common_factor(rows, apart)
    errors = sum((factor * (base + depth * math.exp(apart)) - 1) ** 2 for base, depth in rows)
    unusual = math.log1p((apart / width) ** 2) if width is not None else 0.0
    return errors / (2 * _MEASURED_WITHIN**2) + unusual


def _least(function: Callable[[float], float], middle: float, reach: float) -> float:
    """Where a function with one dip between `middle - reach` and `middle + reach` is least (golden section)."""
    shrink = (math.sqrt(5) - 1) / 2
    low, high = middle - reach, middle + reach
    for _ in range(30):
        left, right = high - shrink * (high - low), low + shrink * (high - low)
        if function(left) <= function(right):
            high = right
        else:
            low = left
    return (low + high) / 2


class Spread(msgspec.Struct, frozen=True):
    """How far the truth may lie from a cost: mostly between `cost / (1 + share)` and `cost / (1 - share)`, per term."""

    base: float
    depth: float


class DeviceCost(msgspec.Struct, frozen=True):
    """What one device of a plan adds to the time of a token."""

    device: str
    kind: str
    """gpu or cpu."""
    token: TokenCost
    """One generated token."""
    spread: Spread
    prompt: TokenCost | None = None
    """One token of a prompt; None where nothing tells how fast the device computes."""
    prompt_spread: float = 0.0


class SpeedParts(msgspec.Struct, frozen=True):
    """The predicted speed of a plan, device by device; never empty."""

    devices: tuple[DeviceCost, ...]

    @property
    def token(self) -> TokenCost:
        """One generated token on all devices together."""
        return sum((device.token for device in self.devices), TokenCost())

    @property
    def prompt(self) -> TokenCost | None:
        """One token of a prompt; None where a device's figure is not known."""
        costs = [device.prompt for device in self.devices if device.prompt is not None]
        return sum(costs, TokenCost()) if len(costs) == len(self.devices) else None

    def token_range(self, depth: int) -> tuple[float, float] | None:
        """(low, high) tokens per second of an answer, `depth` tokens into a conversation; None where nothing takes time."""
        slow_s = fast_s = 0.0
        for device in self.devices:
            base_s, depth_s, spread = device.token.base_s, device.token.depth_s(depth), device.spread
            slow_s += base_s / (1 - spread.base) + depth_s / (1 - spread.depth)
            fast_s += base_s / (1 + spread.base) + depth_s / (1 + spread.depth)
        return (1 / slow_s, 1 / fast_s) if fast_s > 0 else None

    def prompt_range(self, tokens: int) -> tuple[float, float] | None:
        """(low, high) tokens per second while a prompt of so many tokens is read; None where that is not known."""
        slow_s = fast_s = 0.0
        for device in self.devices:
            if device.prompt is None:
                return None
            seconds = device.prompt.total_s(0, tokens)
            slow_s += seconds / (1 - device.prompt_spread)
            fast_s += seconds / (1 + device.prompt_spread)
        return (tokens / slow_s, tokens / fast_s) if fast_s > 0 else None
