"""The command that measures with how many threads and tokens a step a model runs fastest: tune."""

from __future__ import annotations

import threading
import time
from typing import Annotated

import typer

from localai_app import errors
from localai_app.cli.loading import load_and_wait
from localai_app.cli.session import Session
from localai_app.engine.protocol import TuningKind
from localai_app.errors import AppError
from localai_app.services.app_services import AppServices
from localai_app.services.tuning import BUDGET_S
from localai_app.services.tuning_memory import KnownTuning
from localai_app.services.tuning_words import tuning_sentence
from localai_app.units import format_speed

PATIENCE_S = 20 * BUDGET_S
KIND_WORDS = {
    TuningKind.GENERATION: "answers, threads", TuningKind.PROMPT: "prompts, threads", TuningKind.STEP: "prompts, tokens a step"}


def register(app: typer.Typer) -> None:
    """Add this command to the program."""
    app.command()(tune)


def tune(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="An installed model, as `models` lists it, or a .gguf file.")],
    again: Annotated[bool, typer.Option("--again", help="Measure even if it is known already.")] = False,
) -> None:
    """Measure for some seconds how a model runs fastest on this computer, and load it like that from now on."""
    session: Session = context.obj
    with session.services() as services:
        key = services.library.get(model).key
        load_and_wait(session, services, key)
        options = services.engine.state.options
        known = services.tuning_memory.find(services.library.get(key), options) if options is not None else None
        if known is None or again:
            session.output.say("Measuring ...")
            known = _measured(services, key)
    session.output.document({
        "model": key, "threads": known.tuning.threads, "prompt_threads": known.tuning.prompt_threads,
        "ubatch": known.tuning.ubatch, "rows": known.rows, "time_s": known.time_s})
    for row in known.rows:
        session.output.words(f"  {KIND_WORDS[row.kind]} {row.value}: {format_speed(row.tps)}")
    session.output.words(tuning_sentence(known))


def _measured(services: AppServices, key: str) -> KnownTuning:
    found: list[KnownTuning | None] = []
    over = threading.Event()

    def on_done(known: KnownTuning | None) -> None:
        found.append(known)
        over.set()

    services.tuning.measure(key, on_done)
    deadline_s = time.monotonic() + PATIENCE_S
    while not over.wait(0.2):
        error = services.engine.state.error
        if error is not None:
            raise error
        if time.monotonic() > deadline_s:
            raise AppError(errors.ENGINE_NOT_RESPONDING, seconds=round(PATIENCE_S))
    if not found or found[0] is None:
        raise AppError(errors.NOTHING_MEASURED, name=key)
    return found[0]
