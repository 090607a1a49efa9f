"""Loads models for real in a process of its own and prints what llama.cpp says it allocated, one JSON line per load.

`python -m tests.helpers.real_load` reads [path, context, KV type] lists from stdin, one a line.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

CACHE = re.compile(r" (?:KV|RS) buffer size = +([\d.]+) MiB")
COMPUTE = re.compile(r"compute buffer size = +([\d.]+) MiB")
OUTPUT = re.compile(r"output buffer size = +([\d.]+) MiB")
REPACKED = re.compile(r"CPU_REPACK model buffer size = +([\d.]+) MiB")
PATTERNS = {"kv": CACHE, "compute": COMPUTE, "output": OUTPUT, "repacked": REPACKED}
MIB = 1024 * 1024


def allocated(loads: Sequence[tuple[Path, int, str]]) -> list[dict[str, int]]:
    """Bytes of each load: kv, compute, output and repacked weights, from the lines about buffers that were really allocated."""
    lines = "\n".join(json.dumps([str(path), ctx, kv_type]) for path, ctx, kv_type in loads)
    result = subprocess.run(
        [sys.executable, "-m", "tests.helpers.real_load"], input=lines, capture_output=True, text=True, timeout=120,
        check=False, cwd=Path(__file__).resolve().parents[2])
    assert result.returncode == 0, result.stderr[-2000:]
    return [json.loads(line) for line in result.stdout.splitlines()]


def _main() -> None:
    from localai_app.engine.protocol import KvType, LoadOptions
    from localai_app.engine.worker.llama import LlamaBackend
    from localai_app.engine.worker.stop_flag import StopFlags

    backend = LlamaBackend(StopFlags())
    for line in sys.stdin:
        path, ctx, kv_type = json.loads(line)
        backend._log.start_capture()
        backend.load(1, LoadOptions(model_path=path, ctx=ctx, kv_type=KvType(kv_type)), lambda _fraction: None)
        said = backend._log.end_capture()
        print(json.dumps({
            name: round(sum(float(found[1]) for text in said if (found := pattern.search(text))) * MIB)
            for name, pattern in PATTERNS.items()}), flush=True)


if __name__ == "__main__":
    _main()
