"""`dev.py demo`: the app against a Hub on this computer that serves two small real models."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tools.dev import stamp
from tools.dev.console import StepError
from tools.dev.environment import LOGS, ROOT
from tools.dev.models import GEMMA, SMOLLM2

OWNER = "local-ai-demo"
CATALOG = ROOT / "resources" / "catalog" / "demo.json"
DATA_DIR = ROOT / ".cache" / "demo"
REPOS = {f"{OWNER}/SmolLM2-135M-Instruct-GGUF": SMOLLM2, f"{OWNER}/gemma-3-270m-GGUF": GEMMA}


def run_demo(arguments: Sequence[str], models: Path) -> int:
    """Open the app with its data in .cache/demo; the Hub ends with it."""
    python = str(stamp.venv_python(ROOT))
    with _hub(python, models) as endpoint:
        print(f"A Hub with two small models is at {endpoint}. The data is in {DATA_DIR}.", file=sys.stderr, flush=True)
        env = os.environ | {"HF_ENDPOINT": endpoint, "NO_PROXY": _without_proxy("127.0.0.1,localhost")}
        line = [python, "-m", "localai_app", "--data-dir", str(DATA_DIR), "--catalog", str(CATALOG), *arguments]
        process = subprocess.Popen(line, env=env)
        # Ended from outside, it ends the app, and the Hub after that.
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue


def _without_proxy(hosts: str) -> str:
    set_before = os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""
    return f"{set_before},{hosts}" if set_before else hosts


@contextmanager
def _hub(python: str, models: Path) -> Iterator[str]:
    """Start the Hub in a process of its own; its address. It is ended on the way out."""
    LOGS.mkdir(parents=True, exist_ok=True)
    line = [python, "-m", "tests.helpers.hub_server", "--port", "0", "--log", str(LOGS / "demo-hub-requests.jsonl")]
    for repo, model in REPOS.items():
        line += ["--repo", f"{repo}={models / model.name}"]
    with (LOGS / "demo-hub.log").open("wb") as errors:
        process = subprocess.Popen(line, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors)
        try:
            assert process.stdout is not None
            yield _endpoint(process.stdout.readline())
        finally:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _endpoint(line: bytes) -> str:
    try:
        return str(json.loads(line)["endpoint"])
    except (ValueError, KeyError):
        raise StepError(f"The Hub of the demo did not start; see {LOGS / 'demo-hub.log'}.") from None
