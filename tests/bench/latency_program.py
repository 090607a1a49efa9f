"""How late tokens arrive in the window's process: alone, or while a window of full size is repainted every 8 ms.

`python -m tests.bench.latency_program MODEL FOLDER idle|painting` prints one JSON document. The clock is the same in both
processes (CLOCK_MONOTONIC of Linux).
"""

from __future__ import annotations

import json
import os
import queue
import statistics
import sys
import time
from pathlib import Path

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication, QTextBrowser

from localai_app.engine.client import EngineClient
from localai_app.engine.protocol import Complete, Event, Finished, Load, Loaded, LoadOptions, Sampling, TextGenerated
from localai_app.engine.worker.echo_text import SAMPLE_SECTIONS

REPAINT_MS = 8
TOKENS = 600
WAIT_S = 60.0


def main() -> int:
    """Measure one answer."""
    model, folder, scene = sys.argv[1:]
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)
    delays_s: list[float] = []
    others: queue.SimpleQueue[Event] = queue.SimpleQueue()

    def on_event(event: Event) -> None:
        now_s = time.perf_counter()
        if isinstance(event, TextGenerated):
            delays_s.extend(now_s - float(stamp) for stamp in event.text.split())
        else:
            others.put(event)

    client = EngineClient(
        [sys.executable, "-m", "tests.bench.stamped_worker_program"], cwd=Path(folder), on_event=on_event,
        on_exit=lambda _outcome: None)
    client.start()
    client.send(Load(id=1, options=LoadOptions(model_path=model, ctx=1024)))
    _wait_for(others, Loaded)
    client.send(Complete(id=2, prompt="The sea", sampling=Sampling(seed=1, max_tokens=TOKENS, temperature=0.8)))
    repaints = _paint_until_finished(others) if scene == "painting" else 0
    if scene != "painting":
        _wait_for(others, Finished)
    client.stop()
    ordered = sorted(delays_s)
    print(json.dumps({
        "tokens": len(ordered), "median_ms": statistics.median(ordered) * 1000,
        "p99_ms": ordered[int(len(ordered) * 0.99)] * 1000, "longest_ms": ordered[-1] * 1000, "repaints": repaints}))
    return 0


def _paint_until_finished(events: queue.SimpleQueue[Event]) -> int:
    """Repaint a page of text without a pause; how often."""
    app = QApplication([])
    page = QTextBrowser()
    page.setMarkdown("\n\n".join(SAMPLE_SECTIONS))
    page.resize(1280, 800)
    page.show()
    repaints = 0

    def on_timeout() -> None:
        nonlocal repaints
        repaints += 1
        # Painted by Qt's own loop, as in the app: a repaint() from here would hold the interpreter all the while.
        page.viewport().update()
        while not events.empty():
            if isinstance(events.get(), Finished):
                app.quit()

    timer = QTimer(interval=REPAINT_MS)
    timer.timeout.connect(on_timeout)
    timer.start()
    app.exec()
    timer.stop()
    return repaints


def _wait_for(events: queue.SimpleQueue[Event], kind: type[Event]) -> None:
    while not isinstance(events.get(timeout=WAIT_S), kind):
        pass


if __name__ == "__main__":
    sys.exit(main())
