"""Numbers for people."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localai_app import units
from localai_app.units import parse_memory


@pytest.mark.parametrize(("n_bytes", "text"), [
    (0, "0 MiB"), (50 * 1024**2, "50 MiB"), (1024**3, "1.0 GiB"), (int(9.84 * 1024**3), "9.8 GiB")])
def test_memory_is_in_binary_units(n_bytes: int, text: str) -> None:
    assert units.format_gib(n_bytes) == text


@pytest.mark.parametrize(("n_bytes", "text"), [(999, "999 B"), (98_362_432, "98 MB"), (5_000_000_000, "5.0 GB")])
def test_files_are_in_decimal_units(n_bytes: int, text: str) -> None:
    assert units.format_file_size(n_bytes) == text


@pytest.mark.parametrize(("speed", "text"), [
    (2.34, "2.3 tok/s"), (9.97, "10 tok/s"), (61.3, "61 tok/s"), (1840.2, "1,840 tok/s")])
def test_speeds_have_a_unit(speed: float, text: str) -> None:
    assert units.format_speed(speed) == text


def test_a_range_that_rounds_to_one_figure_is_one_figure() -> None:
    assert units.format_speed_range(34.1, 34.4) == "about 34 tok/s"
    assert units.format_speed_range(34, 41) == "34 to 41 tok/s"


@pytest.mark.parametrize(("seconds", "text"), [
    (0.21, "0.21 s"), (7.9, "7.9 s"), (42, "42 s"), (59.7, "60 s"), (360, "6 min"), (7500, "2 h 5 min"), (7200, "2 h")])
def test_durations_use_their_largest_sensible_unit(seconds: float, text: str) -> None:
    assert units.format_duration(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), [
    (0.2, "1 s"), (8.6, "9 s"), (42.4, "42 s"), (59.7, "60 s"), (360, "6 min"), (7500, "2 h 5 min")])
def test_a_time_to_wait_has_no_fractions(seconds: float, text: str) -> None:
    assert units.format_wait(seconds) == text


@pytest.mark.parametrize(("n", "text"), [(134_515_008, "135M"), (8_190_735_360, "8.2B"), (671_026_272_256, "671B")])
def test_parameters(n: int, text: str) -> None:
    assert units.format_parameters(n) == text


@given(st.floats(min_value=0, max_value=1e6, allow_nan=False))
def test_every_duration_has_a_number_and_a_unit(seconds: float) -> None:
    text = units.format_duration(seconds)
    assert text[0].isdigit()
    assert text.rstrip("0123456789. ")[-1] in ("s", "n", "h")


@pytest.mark.parametrize(("text", "n_bytes"), [
    ("6 GiB", 6 * 1024**3), ("1.5gib", 3 * 1024**3 // 2), ("800 MiB", 800 * 1024**2), ("2 GB", 2 * 10**9), ("123", 123),
    ("0", 0)])
def test_a_size_is_read_as_people_write_it(text: str, n_bytes: int) -> None:
    assert parse_memory(text) == n_bytes


@pytest.mark.parametrize("text", ["", "GiB", "six GiB", "1 GiB more", "nan", "inf GiB", "1 PiB", "1,5 GiB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no size|convert"):
        parse_memory(text)
