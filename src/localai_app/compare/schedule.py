"""Side by side or in turn: decided from what each contestant needs, what is free, and what a shared computer loses.

Everything is shared by simple rules. Contestants on the processor get an equal number of its cores; contestants on one GPU, or
on the processor, each get that part of its speed. What side by side really gave on this computer corrects that.
"""

from __future__ import annotations

import itertools
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
    running = [need for need in needs if not need.problem]
    against = _against_sharing(running, facts)
    if against:
        return _in_turn(needs, facts, order, against)
    threads = fair_threads(needs, facts.cores)
    return Schedule(
        way=Way.SIDE_BY_SIDE, order=order, threads=threads, peak_bytes=sum(need.total_bytes for need in running),
        reason=_together_words(running, facts, max(threads)))


def loads_ahead(answering: ContestantNeed, following: ContestantNeed, limit_bytes: int) -> bool:
    """Whether the next model may be loaded while the last answer of the one before is written.

    Only where both fit, where the processor has cores to spare because the answer is computed on GPUs alone, and where the
    next one uses none of those: nothing may spoil a speed that is being measured.
    """
    if answering.problem or following.problem or not answering.computed_on or PROCESSOR in answering.computed_on:
        return False
    used = {use.device for use in following.devices if use.device != PROCESSOR}
    return not used & answering.computed_on and not _shortage((answering, following), limit_bytes)


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
    return gain * together_tps(needs) / max(_speeds(needs))


def together_tps(needs: Sequence[ContestantNeed]) -> float:
    """What all write side by side by the rule alone: each its part of the device that most of them share."""
    users = Counter(device for need in needs for device in need.computed_on)
    return sum(
        tps / max((users[device] for device in need.computed_on), default=1)
        for tps, need in zip(_speeds(needs), needs, strict=True))


def _speeds(needs: Sequence[ContestantNeed]) -> list[float]:
    known = [need.tps for need in needs if need.tps]
    usual = sum(known) / len(known) if known else 1.0
    return [need.tps or usual for need in needs]


def _against_sharing(needs: Sequence[ContestantNeed], facts: Circumstances) -> str:
    """Why contestants that can be loaded run in turn, as a sentence; empty where they run side by side."""
    if len(needs) < 2:
        return "In turn: only one of them can be loaded." if needs else "None of them can be loaded."
    if facts.wish is Way.IN_TURN:
        return "In turn, as chosen."
    shortage = _shortage(needs, facts.limit_bytes)
    if shortage:
        wished = ", although side by side was chosen" if facts.wish is Way.SIDE_BY_SIDE else ""
        return f"In turn{wished}: {shortage}"
    slower = _slower_words(needs, facts) if facts.wish is None else ""
    return f"In turn, which is faster: {slower}" if slower else ""


def _in_turn(needs: Sequence[ContestantNeed], facts: Circumstances, order: tuple[int, ...], reason: str) -> Schedule:
    pairs = [(needs[one], needs[other]) for one, other in itertools.pairwise(order)]
    ahead = [pair for pair in pairs if loads_ahead(*pair, facts.limit_bytes)]
    meanwhile = ""
    if ahead:
        meanwhile = "While one writes its last answer on a GPU, the next one is loaded where that takes nothing from it."
    elif any(not one.problem and not other.problem for one, other in pairs):
        meanwhile = "While one writes its last answer, the file of the next one is read ahead where memory allows."
    peak_bytes = max([
        *(need.total_bytes for need in needs), *(one.total_bytes + other.total_bytes for one, other in ahead)])
    return Schedule(
        way=Way.IN_TURN, reason=reason, order=order, threads=tuple(need.threads or facts.cores for need in needs),
        prepares_next=bool(ahead), meanwhile=meanwhile, peak_bytes=peak_bytes)


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

