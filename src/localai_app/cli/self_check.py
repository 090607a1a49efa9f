"""`--self-check`: proves in less than a minute that this installation works, with a JSON report for scripts."""

from __future__ import annotations

import tempfile
import threading
import time
from pathlib import Path

from localai_app import __version__, errors
from localai_app.bootstrap import LaunchOptions, build_services
from localai_app.cli.frame_probe import PROBE_WORD, frame_words, run_probe
from localai_app.cli.module_check import absent_modules
from localai_app.cli.output import Output
from localai_app.cli.resource_check import connection_words, resource_problems
from localai_app.engine.client import EngineClient
from localai_app.engine.launch import worker_command
from localai_app.engine.outcome import WorkerOutcome
from localai_app.engine.protocol import Chat, ChatMessage, Event, Finished, Ready, RequestFailed, Sampling
from localai_app.engine.self_test import CONTINUATION, PROMPT
from localai_app.engine.tiny_model import write_tiny_model
from localai_app.errors import AppError
from localai_app.paths import is_frozen
from localai_app.services.app_services import AppServices
from localai_app.services.runtime_words import result_words
from localai_app.services.self_test_run import LATER_DEADLINE_S, run_self_test

TIMEOUT_S = 60.0
WORKS = "works"
_ESSENTIAL = ("protocol", "engine", "frame", "modules", "resources", "connections")
"""Parts of the report that have to be “works”. One of several builds of the engine may fail: then another one runs."""


def run_self_check(arguments: list[str], launch: LaunchOptions, output: Output) -> int:
    """Print the report as JSON; 0 if all essentials work, else 1, and `problem` says what does not.

    In a checkout or package without an engine, that is reported and not fatal: it can be installed later.
    """
    output.is_json = True
    if PROBE_WORD in arguments:
        return run_probe(launch, output)
    started_s = time.monotonic()
    report: dict[str, object] = {"version": __version__, "frozen": is_frozen()}
    try:
        with tempfile.TemporaryDirectory(prefix="localai-self-check-", ignore_cleanup_errors=True) as folder:
            data_dir = launch.data_dir or Path(folder) / "data"
            services = build_services(LaunchOptions(data_dir=data_dir, catalog=launch.catalog))
            try:
                _check_services(services, report)
            finally:
                services.close()
            report["frame"] = frame_words(launch.catalog, Path(folder) / "window")
    except AppError as error:
        output.error(error, {**report, "ok": False, "problem": error.message})
        return 1
    report["resources"] = "; ".join(resource_problems()) or WORKS
    report["connections"] = connection_words()
    count, absent = absent_modules()
    report["modules"] = "; ".join(absent) or WORKS
    report["modules_imported"] = count
    problem = _problem(report)
    output.document({**report, "seconds": round(time.monotonic() - started_s, 1), "problem": problem, "ok": not problem})
    return int(bool(problem))


def _check_services(services: AppServices, report: dict[str, object]) -> None:
    hardware = services.hardware.detect_now(with_engine=False)
    report["hardware"] = {"cpu": hardware.cpu.model, "gpus": [gpu.name for gpu in hardware.gpus]}
    report["catalog_models"] = services.discovery.compute_now().total_count
    services.paths.worker_dir.mkdir(parents=True, exist_ok=True)
    report["protocol"] = _ask_echo(services.paths.worker_dir)
    report["engine_builds"] = {row.runtime.key: result_words(row.result) for row in services.runtimes.test_all()}
    report["engine_refused"] = list(services.runtimes.refused())
    _decode(services, report)


def _decode(services: AppServices, report: dict[str, object]) -> None:
    """Let the build that chats would use load the tiny model and compute, and compare what comes out."""
    try:
        runtime = services.runtimes.chosen()
    except AppError as error:
        report["engine"] = error.message
        return
    model = write_tiny_model(services.paths.cache)
    result = run_self_test(
        runtime, model, services.paths.worker_dir, deadline_s=LATER_DEADLINE_S, given_up=threading.Event())
    report["engine"] = WORKS if result.passed else f"{runtime.key}: {result.reason}"
    report["decoded"] = {
        "build": runtime.key, "tokens": len(PROMPT) + len(CONTINUATION) if result.passed else 0,
        "devices": list(result.devices), "difference": round(result.difference, 5), "seconds": round(result.took_s, 2)}


def _problem(report: dict[str, object]) -> str:
    """What keeps the program from working, in one line; empty if nothing does."""
    failed = {part: str(report.get(part, "not checked")) for part in _ESSENTIAL if report.get(part) != WORKS}
    if not is_frozen() and failed.get("engine") == errors.ENGINE_MISSING.message:
        del failed["engine"]
    return "; ".join(f"{part}: {words}" for part, words in failed.items())


def _ask_echo(worker_dir: Path) -> str:
    """Start a worker with the echo back end and have it answer. “works”, or what is wrong in words."""
    answers: list[str] = []
    over = threading.Event()

    def on_event(event: Event) -> None:
        match event:
            case Ready():
                client.send(Chat(id=1, messages=(ChatMessage(role="user", content="Hello"),), sampling=Sampling(max_tokens=8)))
            case Finished():
                answers.append(WORKS)
                over.set()
            case RequestFailed(code=code):
                answers.append(code)
                over.set()
            case _:
                pass

    def on_exit(outcome: WorkerOutcome) -> None:
        answers.append(outcome.error().message)
        over.set()

    client = EngineClient(worker_command("echo"), cwd=worker_dir, on_event=on_event, on_exit=on_exit)
    client.start()
    over.wait(TIMEOUT_S)
    client.stop()
    return answers[0] if answers else "no answer"
