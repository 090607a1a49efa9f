"""How fast downloads are here: measured while they run, remembered for the next one."""

from __future__ import annotations

import contextlib

from localai_app.errors import AppError
from localai_app.services.download_job import DownloadJob
from localai_app.store.library import LibraryStore

SPEED_FACT = "download_bytes_per_s"
SPEED_FACT_SECONDS = 3.0
"""Shorter transfers tell nothing about the line."""
UNMEASURED_BYTES_PER_S = 100e6 / 8


class LineSpeed:
    """The speed of this computer's line to the Hub, kept in the store."""

    def __init__(self, facts: LibraryStore) -> None:
        self._facts = facts

    def expected_duration(self, size_bytes: int) -> tuple[float, bool]:
        """Seconds that a download of this size takes, and whether that rests on a speed measured here.

        Without a measurement it is the time at 100 Mbit/s, and whoever shows it says so.
        """
        measured = 0.0
        with contextlib.suppress(ValueError, AppError):
            measured = float(self._facts.get_fact(SPEED_FACT) or 0.0)
        return size_bytes / (measured or UNMEASURED_BYTES_PER_S), measured > 0

    def remember(self, job: DownloadJob) -> None:
        """Keep the speed of a download that has run for long enough; not worth an error where it cannot be kept."""
        speed = job.speed_bytes_per_s()
        if speed and job.samples[-1][0] - job.samples[0][0] >= SPEED_FACT_SECONDS:
            with contextlib.suppress(AppError):
                self._facts.set_fact(SPEED_FACT, str(speed))
