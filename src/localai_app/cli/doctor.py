"""What works here and what does not, each with its remedy."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from importlib.util import find_spec

from localai_app import errors
from localai_app.engine.client import EngineClient
from localai_app.engine.outcome import WorkerOutcome
from localai_app.engine.protocol import Event, Ready
from localai_app.errors import AppError
from localai_app.hub.space import free_bytes as free_bytes_of
from localai_app.services.app_services import AppServices
from localai_app.services.measurement_words import summary_words
from localai_app.services.runtime_words import result_words
from localai_app.units import GIB, format_file_size

ENGINE_TIMEOUT_S = 60.0
LITTLE_SPACE_BYTES = 5 * GIB


@dataclass(frozen=True, slots=True)
class Check:
    """One finding; `remedy` says what to do where it is not ok."""

    name: str
    ok: bool
    message: str
    remedy: str = ""


def run_checks(services: AppServices) -> list[Check]:
    """Check everything that the main job needs; takes a few seconds."""
    checks = [_check_engine(services), _check_build(services), _check_window()]
    checks += [_check_models_folder(services), _check_hub(services)]
    report = services.hardware.detect_now()
    checks += [Check(f"hardware: {note.probe}", False, note.message, note.remedy) for note in report.notes]
    paths = services.paths
    for name, notice, file in (
        ("settings", services.settings.notice, paths.settings_file), ("chats", services.store.notice, paths.store_file)):
        if notice is None:
            message = f"{file} is in order." if file.exists() else f"Nothing was changed; changes go to {file}."
            checks.append(Check(name, True, message))
        else:
            checks.append(Check(name, False, notice.message, notice.action))
    checks.append(Check("log", True, f"It is written to {paths.log_file}."))
    checks.append(Check("predictions", True, summary_words(services.calibration.measurements())))
    return checks


def _check_engine(services: AppServices) -> Check:
    ready: list[Ready] = []
    failed: list[AppError] = []
    answered = threading.Event()

    def on_event(event: Event) -> None:
        if isinstance(event, Ready):
            ready.append(event)
            answered.set()

    def on_exit(outcome: WorkerOutcome) -> None:
        failed.append(outcome.error())
        answered.set()

    try:
        services.paths.worker_dir.mkdir(parents=True, exist_ok=True)
        client = EngineClient(
            services.runtimes.worker_command, cwd=services.paths.worker_dir, on_event=on_event, on_exit=on_exit)
        client.start()
    except (AppError, OSError) as error:
        return Check("engine", False, f"{errors.ENGINE_UNUSABLE.message} ({error})", errors.ENGINE_UNUSABLE.action)
    answered.wait(ENGINE_TIMEOUT_S)
    client.stop()
    if ready:
        return Check("engine", True, f"llama.cpp starts: {ready[0].engine_build}")
    reason = failed[0] if failed else AppError(errors.ENGINE_NOT_RESPONDING, seconds=int(ENGINE_TIMEOUT_S))
    return Check("engine", False, reason.message, reason.action)


def _check_build(services: AppServices) -> Check:
    """Every build of llama.cpp tested anew, and which one is used."""
    rows = services.runtimes.test_all()
    used = next((row for row in rows if row.is_chosen), None)
    if used is None or used.result is None:
        return Check("engine build", False, "No build of the engine (llama.cpp) was found.", errors.ENGINE_MISSING.action)
    message = f"{used.name}: {result_words(used.result)}."
    return Check("engine build", used.result.passed, message, errors.ENGINE_TEST_FAILED.action)


def _check_window() -> Check:
    if find_spec("PySide6") is None:
        return Check("window", False, "Qt (PySide6) is not installed.", "Run `python3 dev.py run` to install it.")
    return Check("window", True, "Qt is installed.")


def _check_models_folder(services: AppServices) -> Check:
    try:
        folder = services.settings.existing_models_folder()
        if not os.access(folder, os.W_OK):
            raise AppError(errors.FOLDER_READ_ONLY, folder=folder)
        free_bytes = free_bytes_of(folder)
    except AppError as error:
        return Check("models folder", False, error.message, error.action)
    message = f"{folder} has {format_file_size(free_bytes)} free."
    if free_bytes < LITTLE_SPACE_BYTES:
        return Check("models folder", False, message, errors.NO_SPACE.action)
    return Check("models folder", True, message)


def _check_hub(services: AppServices) -> Check:
    try:
        services.hub.search("gguf")
    except AppError as error:
        return Check("Hub", False, error.message, error.action)
    return Check("Hub", True, f"{services.hub.client().host} answers.")
