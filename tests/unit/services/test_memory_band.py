"""When free memory counts as moved."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from localai_app.hardware.report import HardwareReport
from localai_app.services.memory_band import MemoryBand
from localai_app.units import GIB
from tests.helpers.fit_subjects import computer, nvidia

READINGS = st.lists(st.floats(-1, 1), min_size=1, max_size=60)


def with_free(ram_gib: float, gpu_gib: float) -> HardwareReport:
    return computer(64, ram_gib, (nvidia("RTX 4090", 24, free_gib=gpu_gib),))


@given(READINGS, st.floats(4, 40), st.floats(3, 20))
def test_memory_that_goes_to_and_fro_by_a_gib_moves_the_band_once_at_most(
    swings: list[float], ram_gib: float, gpu_gib: float,
) -> None:
    band = MemoryBand()
    assert band.is_left_by(with_free(ram_gib + swings[0], gpu_gib - swings[0]))
    moves = sum(band.is_left_by(with_free(ram_gib + swing, gpu_gib - swing)) for swing in swings)
    # Each of the two ends of a swing may push the band along once; after that it covers the whole swing.
    assert moves <= len(set(swings))
    assert not any(band.is_left_by(with_free(ram_gib + swing, gpu_gib - swing)) for swing in swings for _ in range(2))


def test_a_real_change_is_noticed_at_once() -> None:
    band = MemoryBand()
    assert band.is_left_by(with_free(40, 20))
    assert not band.is_left_by(with_free(40.9, 19.1))
    assert band.is_left_by(with_free(40, 17))
    assert not band.is_left_by(with_free(40, 18.5))
    assert band.is_left_by(with_free(40, 20))
    assert band.is_left_by(with_free(36, 20))


def test_small_devices_have_narrow_bands() -> None:
    band = MemoryBand()
    small = [computer(64, 40, (nvidia("GTX 1050", 4, free_gib=free),)) for free in (3.5, 3.2, 2.9)]
    assert [band.is_left_by(report) for report in small] == [True, False, True]


def test_another_gpu_or_one_that_does_not_say_begins_anew() -> None:
    band = MemoryBand()
    report = with_free(40, 20)
    silent = msgspec.structs.replace(report.gpus[0], total_bytes=None, free_bytes=None)
    assert band.is_left_by(report)
    assert band.is_left_by(msgspec.structs.replace(report, gpus=(silent,)))
    assert band.is_left_by(msgspec.structs.replace(report, gpus=()))
    assert band.is_left_by(computer(64, 40 - GIB / GIB * 1.1))
