"""`--self-check`: proves in a few seconds that this installation works, with a JSON report for scripts."""

from __future__ import annotations

import os
import tempfile
import threading
from pathlib import Path

from localai_app import __version__
from localai_app.bootstrap import LaunchOptions, build_services
from localai_app.cli.output import Output
from localai_app.engine.client import EngineClient
from localai_app.engine.launch import worker_command
from localai_app.engine.outcome import WorkerOutcome
from localai_app.engine.protocol import Chat, ChatMessage, Event, Finished, Ready, RequestFailed, Sampling
from localai_app.errors import AppError
from localai_app.services.app_services import AppServices
from localai_app.services.runtime_words import result_words

TIMEOUT_S = 60.0


def run_self_check(launch: LaunchOptions, output: Output) -> int:
    """Print the report as JSON; 0 if the program is usable. A missing engine is reported, not fatal."""
    report: dict[str, object] = {"version": __version__}
    output.is_json = True
    try:
        with tempfile.TemporaryDirectory(prefix="localai-self-check-") as folder:
            data_dir = launch.data_dir or Path(folder)
            services = build_services(LaunchOptions(data_dir=data_dir, catalog=launch.catalog))
            try:
                hardware = services.hardware.detect_now(with_engine=False)
                report["hardware"] = {"cpu": hardware.cpu.model, "gpus": [gpu.name for gpu in hardware.gpus]}
                report["catalog_models"] = services.discovery.compute_now().total_count
                services.paths.worker_dir.mkdir(parents=True, exist_ok=True)
                report["protocol"] = _ask_worker("echo", services.paths.worker_dir)
                report["engine"] = _ask_worker("llama", services.paths.worker_dir)
                report["engine_builds"] = {
                    row.runtime.key: result_words(row.result) for row in services.runtimes.test_all()}
                report["frame"] = _render_frame(services)
            finally:
                services.close()
    except AppError as error:
        output.error(error, report)
        return 1
    usable = report["protocol"] == "works" and report["frame"] == "works"
    output.document({**report, "ok": usable})
    return 0 if usable else 1


def _ask_worker(backend: str, worker_dir: Path) -> str:
    """Start a worker; the echo one also has to give an answer. “works”, or what is wrong in words."""
    answers: list[str] = []
    over = threading.Event()

    def on_event(event: Event) -> None:
        match event:
            case Ready() if backend == "echo":
                client.send(Chat(id=1, messages=(ChatMessage(role="user", content="Hello"),), sampling=Sampling(max_tokens=8)))
            case Ready() | Finished():
                answers.append("works")
                over.set()
            case RequestFailed(code=code):
                answers.append(code)
                over.set()
            case _:
                pass

    def on_exit(outcome: WorkerOutcome) -> None:
        answers.append(outcome.error().message)
        over.set()

    client = EngineClient(worker_command(backend), cwd=worker_dir, on_event=on_event, on_exit=on_exit)
    client.start()
    over.wait(TIMEOUT_S)
    client.stop()
    return answers[0] if answers else "no answer"


def _render_frame(services: AppServices) -> str:
    if "DISPLAY" not in os.environ and "WAYLAND_DISPLAY" not in os.environ:
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    try:
        from localai_app.gui.frame_check import render_one_frame
    except ImportError as error:
        return f"Qt cannot be loaded: {error}"
    return "works" if render_one_frame(services) else "the frame stayed empty"
