"""Runs checks that need a GPU and keeps what they say: `python -m tests.gpu.run [--shared DIR] [--out DIR] [NAME ...]`.

Each check is a process of its own. `--list` names them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.gpu import check_engine, check_hardware, check_memory, check_speed
from tests.gpu.setting import Check, setting

CHECKS: dict[str, Check] = {
    check.__name__: check for check in (
        check_hardware.runtimes, check_hardware.detected, check_hardware.energy, check_memory.small_models,
        check_memory.medium_models, check_memory.contexts, check_memory.taken_by_others, check_memory.partial,
        check_speed.speeds, check_speed.worker_beside_bare_loop, check_speed.stopping, check_engine.load_and_unload,
        check_engine.far_too_large, check_engine.side_by_side, check_engine.killed, check_engine.measured_overhead)}
LIMIT_S = 180


def main() -> int:
    """0 where every check holds."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", choices=[*CHECKS, []], default=[])
    parser.add_argument("--shared", type=Path, default=Path(tempfile.gettempdir()) / "localai-gpu")
    parser.add_argument("--out", type=Path, default=Path("gpu-results"))
    parser.add_argument("--limit", type=float, default=LIMIT_S, help="seconds for each check")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--here", action="store_true", help="in this process")
    options = parser.parse_args()
    if options.list:
        print("\n".join(CHECKS))
        return 0
    options.out.mkdir(parents=True, exist_ok=True)
    names = options.names or list(CHECKS)
    if options.here:
        return int(not all([run_here(name, options.shared, options.out) for name in names]))
    return int(not all([_run(name, options) for name in names]))


def run_here(name: str, shared: Path, out: Path) -> bool:
    """One check in this process; what it says goes to OUT/NAME.json."""
    started_s = time.monotonic()
    document: dict[str, object] = {"check": name}
    try:
        with setting(shared, name) as now:
            document["card"] = now.driver.name()
            try:
                CHECKS[name](now)
            finally:
                document |= {"facts": now.facts, "misses": now.misses}
    except BaseException:  # noqa: BLE001 - it is what the check says
        document["raised"] = traceback.format_exc()[-3000:]
    document["seconds"] = round(time.monotonic() - started_s, 1)
    document["holds"] = "raised" not in document and not document.get("misses")
    (out / f"{name}.json").write_text(json.dumps(document, indent=1, default=str), encoding="utf-8")
    print(f"{'holds ' if document['holds'] else 'FAILS '} {name} ({document['seconds']} s)")
    for line in (*document.get("misses", ()), *str(document.get("raised", "")).splitlines()[-2:]):  # type: ignore[misc]
        print(f"       {line}")
    sys.stdout.flush()
    return bool(document["holds"])


def _run(name: str, options: argparse.Namespace) -> bool:
    where = ["--shared", str(options.shared), "--out", str(options.out)]
    command = [sys.executable, "-m", "tests.gpu.run", "--here", *where, name]
    try:
        with (options.out / f"{name}.log").open("w") as log:
            return subprocess.run(command, stderr=log, timeout=options.limit, check=False, env=dict(os.environ)).returncode == 0
    except subprocess.TimeoutExpired:
        print(f"FAILS  {name}: not done within {options.limit:.0f} s", flush=True)
        return False


if __name__ == "__main__":
    sys.exit(main())
