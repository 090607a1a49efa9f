"""What side by side really gave on this computer, by what the rule of `compare.schedule` says."""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from collections.abc import Sequence

from localai_app.compare.schedule import ContestantNeed, together_tps
from localai_app.errors import AppError
from localai_app.hardware.report import Cpu
from localai_app.store.library import LibraryStore

LEAST_GAIN, MOST_GAIN = 0.2, 4.0
_NEWEST = 0.5
"""How much the newest measurement counts against those before it."""


class SideBySideMemory:
    """One factor for each processor and each set of devices that contestants shared."""

    def __init__(self, facts: LibraryStore) -> None:
        self._facts = facts

    def gain(self, cpu: Cpu, needs: Sequence[ContestantNeed]) -> float:
        """The factor for these contestants; 1.0 where nothing was measured."""
        with contextlib.suppress(AppError, ValueError):
            value = float(self._facts.get_fact(_fact(cpu, needs)) or "nan")
            if math.isfinite(value):
                return min(MOST_GAIN, max(LEAST_GAIN, value))
        return 1.0

    def learn(self, cpu: Cpu, needs: Sequence[ContestantNeed], measured_tps: float) -> None:
        """Take note of what all of them wrote together, in tokens per second; nothing where the rule has no figure for it."""
        if measured_tps <= 0 or any(not need.tps for need in needs):
            return
        ratio = min(MOST_GAIN, max(LEAST_GAIN, measured_tps / together_tps(needs)))
        with contextlib.suppress(AppError, ValueError):
            before = float(self._facts.get_fact(_fact(cpu, needs)) or "nan")
            value = ratio if math.isnan(before) else before ** (1 - _NEWEST) * ratio**_NEWEST
            self._facts.set_fact(_fact(cpu, needs), str(value))


def _fact(cpu: Cpu, needs: Sequence[ContestantNeed]) -> str:
    users = Counter(device for need in needs for device in need.computed_on)
    shared = ",".join(f"{device}={count}" for device, count in sorted(users.items()))
    return f"side_by_side:{cpu.model}:{cpu.physical_cores}:{shared}"
