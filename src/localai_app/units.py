"""Numbers for people: every figure that reaches a screen or a terminal is formatted here."""

from __future__ import annotations

import math

KIB = 1024
MIB = 1024**2
GIB = 1024**3
GB = 1000**3
MB = 1000**2


_MEMORY_UNITS = {"": 1, "b": 1, "kib": KIB, "mib": MIB, "gib": GIB, "kb": 1000, "mb": MB, "gb": GB}


def parse_memory(text: str) -> int:
    """Bytes of a size as people write it: 6 GiB, 800MiB, 2.5 GB, or plain bytes; ValueError for anything else."""
    number = text.strip().rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ").strip()
    unit = text.strip()[len(number):].strip().lower()
    n_bytes = float(number) * _MEMORY_UNITS.get(unit, math.nan)
    if not math.isfinite(n_bytes):
        raise ValueError(f"{text!r} is no size")
    return round(n_bytes)


def format_gib(n_bytes: int) -> str:
    """Memory in GiB with one decimal (MiB below 0.1 GiB), as memory is sold and reported."""
    if abs(n_bytes) < 0.1 * GIB:
        return f"{n_bytes / MIB:.0f} MiB"
    return f"{n_bytes / GIB:.1f} GiB"


def format_file_size(n_bytes: int) -> str:
    """A file's size in decimal units, as the Hub and file managers show it."""
    if n_bytes < 1000:
        return f"{n_bytes} B"
    if n_bytes < MB:
        return f"{n_bytes / 1000:.0f} kB"
    if n_bytes < GB:
        return f"{n_bytes / MB:.0f} MB"
    return f"{n_bytes / GB:.1f} GB"


def format_count(n: int) -> str:
    """An exact count with thousands separators: 16,384."""
    return f"{n:,}"


def format_parameters(n: int) -> str:
    """A model's number of weights: 135M, 8.2B, 671B."""
    if n < 1e9:
        return f"{n / 1e6:.0f}M"
    return f"{n / 1e9:.1f}B" if n < 100e9 else f"{n / 1e9:.0f}B"


def format_context(tokens: int) -> str:
    """A context length for tight places: 4k, 32k, 131k, 1M."""
    if tokens >= 1_000_000:
        return f"{tokens / 1_000_000:.3g}M"
    return f"{tokens // 1000}k" if tokens >= 1000 else str(tokens)


def format_speed(tokens_per_s: float) -> str:
    """One speed in tokens per second."""
    return f"{_speed_digits(tokens_per_s)} tok/s"


def format_speed_range(low: float, high: float) -> str:
    """A range of speeds in tokens per second; one figure where both round to the same."""
    low_text, high_text = _speed_digits(low), _speed_digits(high)
    if low_text == high_text:
        return f"about {low_text} tok/s"
    return f"{low_text} to {high_text} tok/s"


def format_bytes_per_s(bytes_per_s: float) -> str:
    """A transfer speed in decimal units per second."""
    return f"{format_file_size(round(bytes_per_s))}/s"


def format_duration(seconds: float) -> str:
    """A time span in its largest sensible units: 0.21 s, 42 s, 6 min, 2 h 5 min."""
    if seconds < 1:
        return f"{seconds:.2f} s"
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def format_wait(seconds: float) -> str:
    """A time still to wait, an estimate, so in whole units and at least a second: 9 s, 42 s, 6 min."""
    return f"{max(1, round(seconds))} s" if seconds < 59.5 else format_duration(seconds)


def format_energy(joules: float) -> str:
    """Energy: 0.78 J, 42 J, 3.2 kJ."""
    if joules < 9.95:
        return f"{joules:.2g} J"
    return f"{joules:.0f} J" if joules < 1000 else f"{joules / 1000:.1f} kJ"


def _speed_digits(tokens_per_s: float) -> str:
    return f"{tokens_per_s:.1f}" if tokens_per_s < 9.95 else f"{tokens_per_s:,.0f}"
