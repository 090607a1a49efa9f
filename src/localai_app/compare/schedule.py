"""Side by side or in turn: decided from what each contestant needs, what is free, and what a shared computer loses.

Everything is shared by simple rules. Contestants on the processor get an equal number of its cores; contestants on one GPU, or
on the processor, each get that part of its speed. What side by side really gave on this computer corrects that.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from localai_app.compare.comparison import Schedule, Way
from localai_app.units import format_gib, format_speed

WORTH_SHARING = 0.9
"""Side by side has to write at least this part of what the fastest contestant alone writes in the same time."""
PROCESSOR = "processor"
GPU_THREADS = 1
"""A contestant whose layers are all on GPUs keeps about one core busy."""


@dataclass(frozen=True, slots=True)
class DeviceUse:
    """What a contestant takes on one device. `usable_bytes`: what is free there, less what is left to others."""

    device: str
    """`PROCESSOR` for main memory, else the name of a GPU."""
    need_bytes: int
    usable_bytes: int
    computes: bool = True
    """Whether layers are computed here."""
    shares_host: bool = False
    """Its memory is main memory."""


@dataclass(frozen=True, slots=True)
class ContestantNeed:
    """What a contestant takes if it is loaded. `tps`: what it writes alone; None: not known."""

    devices: tuple[DeviceUse, ...] = ()
    tps: float | None = None
    threads: int = 0
    """When it runs alone; 0: the physical cores."""
    problem: str = ""
    """Why it cannot be loaded at all, in words; then it needs nothing."""

    @property
    def total_bytes(self) -> int:
        """On all devices together."""
        return sum(use.need_bytes for use in self.devices)

    @property
    def computed_on(self) -> frozenset[str]:
        """The devices that compute."""
        return frozenset(use.device for use in self.devices if use.computes)


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What is decided with besides the contestants."""

    cores: int
    """Physical ones."""
    limit_bytes: int = 0
    """What all workers together may take; 0: what is free."""
    wish: Way | None = None
    seed: int = 0
    gain: float = 1.0
    """What side by side gave on this computer, by what the rule says; 1.0: not measured."""


def make_schedule(needs: Sequence[ContestantNeed], facts: Circumstances) -> Schedule:
    """How these contestants run. The same needs, circumstances and seed give the same schedule."""
    order = shuffled(len(needs), facts.seed)
    alone = tuple(need.threads or facts.cores for need in needs)
    in_turn = Schedule(
        way=Way.IN_TURN, reason="", order=order, threads=alone,
        peak_bytes=max((need.total_bytes for need in needs), default=0))
    running = [need for need in needs if not need.problem]
    if len(running) < 2:
        return _with_reason(in_turn, "In turn: only one of them can be loaded." if running else "None of them can be loaded.")
    shortage = _shortage(running, facts.limit_bytes)
    if facts.wish is Way.IN_TURN:
        return _with_reason(in_turn, "In turn, as chosen.")
    if shortage:
        wished = ", although side by side was chosen" if facts.wish is Way.SIDE_BY_SIDE else ""
        return _with_reason(in_turn, f"In turn{wished}: {shortage}")
    slower = _slower_words(running, facts)
    if slower and facts.wish is None:
        return _with_reason(in_turn, f"In turn, which is faster: {slower}")
    threads = fair_threads(needs, facts.cores)
    return Schedule(
        way=Way.SIDE_BY_SIDE, order=order, threads=threads, peak_bytes=sum(need.total_bytes for need in running),
        reason=_together_words(running, facts, max(threads)))


def shuffled(count: int, seed: int) -> tuple[int, ...]:
    """The places 0 to `count` - 1 in an order that the seed decides."""
    places = list(range(count))
    random.Random(seed).shuffle(places)
    return tuple(places)


def fair_threads(needs: Sequence[ContestantNeed], cores: int) -> tuple[int, ...]:
    """Threads of each contestant side by side: the same number for all that compute on the processor, at least one."""
    on_processor = [PROCESSOR in need.computed_on for need in needs]
    n_processor = sum(shares and not need.problem for shares, need in zip(on_processor, needs, strict=True))
    n_gpu = sum(not shares and not need.problem for shares, need in zip(on_processor, needs, strict=True))
    each = max(1, (cores - n_gpu * GPU_THREADS) // max(1, n_processor))
    return tuple(each if shares else GPU_THREADS for shares in on_processor)


def shared_ratio(needs: Sequence[ContestantNeed], gain: float = 1.0) -> float:
    """What all write side by side, by what the fastest alone writes in the same time.

    A contestant whose speed is not known counts as fast as the mean of the others.
    """
    known = [need.tps for need in needs if need.tps]
    usual = sum(known) / len(known) if known else 1.0
    speeds = [need.tps or usual for need in needs]
    users = Counter(device for need in needs for device in need.computed_on)
    together = sum(
        tps / max((users[device] for device in need.computed_on), default=1)
        for tps, need in zip(speeds, needs, strict=True))
    return gain * together / max(speeds)


def _shortage(needs: Sequence[ContestantNeed], limit_bytes: int) -> str:
    """Why not all fit at once, as the rest of a sentence; empty where they do."""
    total = sum(need.total_bytes for need in needs)
    if limit_bytes and total > limit_bytes:
        return f"together they would take {format_gib(total)}, and the limit is {format_gib(limit_bytes)}."
    taken: Counter[str] = Counter()
    usable: dict[str, int] = {}
    for use in (use for need in needs for use in need.devices):
        place = PROCESSOR if use.shares_host else use.device
        taken[place] += use.need_bytes
        usable[place] = min(usable.get(place, use.usable_bytes), use.usable_bytes)
    for place, need_bytes in taken.items():
        if need_bytes > usable[place]:
            where = "of main memory" if place == PROCESSOR else f"on {place}"
            return f"together they would take {format_gib(need_bytes)} {where}, and {format_gib(usable[place])} can be used."
    return ""


def _slower_words(needs: Sequence[ContestantNeed], facts: Circumstances) -> str:
    """Why side by side does not pay, as the rest of a sentence; empty where it does."""
    ratio = shared_ratio(needs, facts.gain)
    if ratio >= WORTH_SHARING:
        return ""
    best = max((need.tps or 0.0 for need in needs), default=0.0)
    speeds = f" ({format_speed(ratio * best)} instead of {format_speed(best)})" if best else ""
    return f"side by side, all together would write {ratio:.0%} of what the fastest writes alone{speeds}."


def _together_words(needs: Sequence[ContestantNeed], facts: Circumstances, most_threads: int) -> str:
    total = sum(need.total_bytes for need in needs)
    words = f"Side by side: together they take {format_gib(total)}, which fits"
    users = Counter(device for need in needs for device in need.computed_on)
    shared = [device for device, count in users.items() if count > 1]
    if PROCESSOR in shared:
        cores = "1 core" if facts.cores == 1 else f"{facts.cores} cores"
        threads = "1 thread" if most_threads == 1 else f"{most_threads} threads"
        words += f"; they share the {cores} ({threads} each), so their speeds are those of a shared computer"
    elif shared:
        words += f"; they share {' and '.join(shared)}, so their speeds are those of a shared computer"
    slower = _slower_words(needs, facts)
    return f"{words}, and in turn would be faster." if slower else f"{words}."


def _with_reason(schedule: Schedule, reason: str) -> Schedule:
    return Schedule(
        way=schedule.way, reason=reason, order=schedule.order, threads=schedule.threads, peak_bytes=schedule.peak_bytes)
