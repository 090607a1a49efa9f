"""Prints the tables of the benchmarks."""

from __future__ import annotations

import os
from collections.abc import Sequence


def print_table(title: str, rows: Sequence[tuple[str, str]]) -> None:
    """Figures with their names, and how busy the computer was with other things."""
    load = f"load average {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "load unknown"
    print(f"\n{title} ({os.cpu_count()} cores, {load})")
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"  {name:<{width}}  {value}")
