"""The real window with the echo worker: asks once, and measures the window's thread while the answer streams.

`python -m tests.bench.stream_program --data-dir DIR --tokens N --tokens-per-s N` prints one JSON document. A timer of one
millisecond beats in the window's thread; a gap between two beats is a time in which the window answered nobody.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from PySide6.QtCore import QObject, Qt, QTimer
from PySide6.QtWidgets import QApplication

from localai_app.bootstrap import LaunchOptions, build_services
from localai_app.engine.launch import worker_command
from localai_app.gui.app import make_application, run_window
from localai_app.gui.main_window import MainWindow
from localai_app.log import setup_logging
from localai_app.paths import app_paths
from localai_app.services.app_services import AppServices
from localai_app.services.events import AnswerEnded, AnswerProgressed, Event
from localai_app.services.views import EngineStatus
from tests.helpers.gguf_files import write_tiny_gguf

BEAT_MS = 1
SETTLE_S = 4.0
"""The hardware is probed and the first pages are drawn; what that costs is no part of streaming."""
IDLE_S = 3.0
TENTHS = 10


class StreamWatch(QObject):
    """Idles, asks, watches the answer, and ends the program."""

    def __init__(self, app: QApplication, n_tokens: int) -> None:
        super().__init__()
        self.services: AppServices | None = None
        self._app = app
        self._n_tokens = n_tokens
        self._seen_tokens = 0
        self._is_over = False
        self._phase = self._wait_for_window
        self._phase_started_s = time.perf_counter()
        self._last_beat_s = time.perf_counter()
        self._gaps_ms: list[float] = []
        self._idle_gaps_ms: list[float] = []
        self._idle_share = 0.0
        self._idle_started_cpu_s = 0.0
        self._marks: list[tuple[int, float, float]] = []
        """(tokens seen, CPU seconds of this thread, wall seconds) at the start and after each tenth."""
        self._timer = QTimer(self, timerType=Qt.TimerType.PreciseTimer, interval=BEAT_MS)
        self._timer.timeout.connect(self._on_beat)
        self._timer.start()

    def report(self) -> dict[str, object]:
        """The figures; times in milliseconds unless named otherwise."""
        cost_us = []
        for (tokens_a, cpu_a, wall_a), (tokens_b, cpu_b, wall_b) in zip(self._marks, self._marks[1:], strict=False):
            own_s = (cpu_b - cpu_a) - self._idle_share * (wall_b - wall_a)
            cost_us.append(own_s / max(1, tokens_b - tokens_a) * 1e6)
        wall_s = self._marks[-1][2] - self._marks[0][2]
        return {
            "tokens": self._marks[-1][0], "seconds": wall_s, "beats": len(self._gaps_ms),
            "longest_ms": max(self._gaps_ms), "p99_ms": _percentile(self._gaps_ms, 0.99),
            "p999_ms": _percentile(self._gaps_ms, 0.999),
            "idle_longest_ms": max(self._idle_gaps_ms), "idle_p99_ms": _percentile(self._idle_gaps_ms, 0.99),
            "cost_per_token_us": cost_us, "n_longer_than_50_ms": sum(gap > 50 for gap in self._gaps_ms),
        }

    def _on_beat(self) -> None:
        now_s = time.perf_counter()
        gap_ms = (now_s - self._last_beat_s) * 1000
        self._last_beat_s = now_s
        self._phase(gap_ms, now_s)

    def _enter(self, phase: object) -> None:
        self._phase = phase  # type: ignore[assignment]
        self._phase_started_s = time.perf_counter()

    def _wait_for_window(self, _gap_ms: float, now_s: float) -> None:
        if self.services is None or self._window() is None:
            return
        if now_s - self._phase_started_s > SETTLE_S:
            self.services.engine.load(self.services.library.models()[0].key)
            self._enter(self._wait_for_model)

    def _wait_for_model(self, _gap_ms: float, now_s: float) -> None:
        assert self.services is not None
        if self.services.engine.state.status is EngineStatus.READY and now_s - self._phase_started_s > 1:
            self._idle_started_cpu_s = time.thread_time()
            self._enter(self._idle)

    def _idle(self, gap_ms: float, now_s: float) -> None:
        self._idle_gaps_ms.append(gap_ms)
        if now_s - self._phase_started_s < IDLE_S:
            return
        self._idle_share = (time.thread_time() - self._idle_started_cpu_s) / (now_s - self._phase_started_s)
        services, window = self.services, self._window()
        assert services is not None
        assert window is not None
        services.events.subscribe(self._on_event)
        page = window.show_page("chat")
        conversation = services.chat.create()
        page.open_conversation(conversation.id)  # type: ignore[attr-defined]
        services.chat.send(conversation.id, "Tell me everything.")
        self._enter(self._stream)
        self._mark()

    def _stream(self, gap_ms: float, _now_s: float) -> None:
        self._gaps_ms.append(gap_ms)
        if self._seen_tokens >= len(self._marks) * self._n_tokens / TENTHS:
            self._mark()
        if self._is_over:
            self._mark()
            self._enter(self._after)

    def _after(self, gap_ms: float, now_s: float) -> None:
        self._gaps_ms.append(gap_ms)
        if now_s - self._phase_started_s > 1:
            self._timer.stop()
            self._app.quit()

    def _mark(self) -> None:
        self._marks.append((self._seen_tokens, time.thread_time(), time.perf_counter()))

    def _on_event(self, event: Event) -> None:
        """Called in the engine's thread: only remembers."""
        match event:
            case AnswerProgressed(stats=stats):
                self._seen_tokens = stats.completion_tokens
            case AnswerEnded():
                self._is_over = True
            case _:
                pass

    def _window(self) -> MainWindow | None:
        return next((widget for widget in self._app.topLevelWidgets() if isinstance(widget, MainWindow)), None)


def _percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def main() -> int:
    """Run the window once."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--tokens", type=int, default=10_000)
    parser.add_argument("--tokens-per-s", type=float, default=200.0)
    options = parser.parse_args()
    paths = app_paths(options.data_dir)
    setup_logging(paths, verbose=False)
    context = 2 * options.tokens + 2_000
    write_tiny_gguf(paths.default_models / "tester" / "Tiny-GGUF" / "tiny-F16.gguf", ctx_train=context)
    app = make_application()
    watch = StreamWatch(app, options.tokens)
    worker = worker_command("echo", ["--tokens", str(options.tokens), "--tokens-per-s", str(options.tokens_per_s)])

    def make_services() -> AppServices:
        watch.services = build_services(LaunchOptions(data_dir=options.data_dir, worker=worker))
        watch.services.settings.set("context_tokens", context)
        return watch.services

    code = run_window(make_services, paths)
    print(json.dumps(watch.report()), flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
