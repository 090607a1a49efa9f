"""Whether free memory really moved, or only went up and down a little."""

from __future__ import annotations

from collections.abc import Sequence

from localai_app.hardware.report import HardwareReport
from localai_app.units import GIB

BAND_BYTES = GIB
BAND_SHARE = 0.1
"""Free memory may move this far up or down, whichever is less, before something is chosen anew."""


class MemoryBand:
    """A band around the free memory of every device that only moves when a reading lies outside of it.

    It is pushed along by the reading and stays where it was pushed to. So memory that goes to and fro by less than the
    width of the band moves it once at most, wherever it began.
    """

    def __init__(self, most_bytes: int = BAND_BYTES) -> None:
        """`most_bytes`: how far free memory may move up or down from where it was."""
        self._most_bytes = most_bytes
        self._lows: list[int] = []
        self._widths: list[int] = []

    def is_left_by(self, report: HardwareReport) -> bool:
        """Whether free memory left the band of any device since the last call; then the band follows it."""
        free, totals = free_bytes(report), total_bytes(report)
        widths = [2 * min(self._most_bytes, round(BAND_SHARE * total)) for total in totals]
        if widths != self._widths:
            self._widths = widths
            self._lows = [now - width // 2 for now, width in zip(free, widths, strict=True)]
            return True
        lows = [min(max(low, now - width), now) for low, now, width in zip(self._lows, free, widths, strict=True)]
        is_left = lows != self._lows
        self._lows = lows
        return is_left


def free_bytes(report: HardwareReport) -> Sequence[int]:
    """Free main memory, then that of each GPU (0 where it is not known), in bytes."""
    return (report.memory.available_bytes, *(gpu.free_bytes or 0 for gpu in report.gpus))


def total_bytes(report: HardwareReport) -> Sequence[int]:
    """The same of all memory; GPUs that do not say take that of main memory."""
    return (report.memory.total_bytes, *(gpu.total_bytes or report.memory.total_bytes for gpu in report.gpus))
