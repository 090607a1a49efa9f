"""How long the window answers nobody while 10,000 tokens of Markdown stream into it, and what a token costs early and late."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.tables import print_table
from tests.helpers.display import virtual_display

pytestmark = [pytest.mark.bench, pytest.mark.timeout(300)]

TOKENS = 10_000
TOKENS_PER_S = 200


def test_streaming_a_long_answer(tmp_path: Path) -> None:
    with virtual_display() as display:
        result = subprocess.run(
            [sys.executable, "-m", "tests.bench.stream_program", "--data-dir", str(tmp_path), "--tokens", str(TOKENS),
             "--tokens-per-s", str(TOKENS_PER_S)],
            env={**os.environ, **display}, capture_output=True, text=True, check=False, timeout=200)
    assert result.returncode == 0, result.stderr
    seen = json.loads(result.stdout)
    assert seen["tokens"] >= TOKENS - 1, "the answer was cut"
    costs = seen["cost_per_token_us"][:10]
    print_table(f"{seen['tokens']:,} tokens in {seen['seconds']:.0f} s", [
        ("longest stall", f"{seen['longest_ms']:.0f} ms"),
        ("stalls over 50 ms", f"{seen['n_longer_than_50_ms']}"),
        ("99.9% of gaps below", f"{seen['p999_ms']:.1f} ms"),
        ("99% of gaps below", f"{seen['p99_ms']:.1f} ms"),
        ("the same while idle", f"{seen['idle_longest_ms']:.0f} ms longest, {seen['idle_p99_ms']:.1f} ms for 99%"),
        ("cost per token, each tenth", " ".join(f"{cost:.0f}" for cost in costs) + " µs"),
        ("last tenth to first", f"{costs[-1] / costs[0]:.2f}"),
    ])
