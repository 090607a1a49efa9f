"""Loading a model for a command: what happens on the way is said as it happens."""

from __future__ import annotations

import threading
from enum import StrEnum
from typing import Annotated

import typer

from localai_app.cli.session import Session
from localai_app.engine.protocol import ChatFormat
from localai_app.errors import AppError, Remedy
from localai_app.fit.result import Request
from localai_app.services.app_services import AppServices
from localai_app.services.events import EngineFailed, Event, LoadStepped, ModelLoaded


class SetUp(StrEnum):
    """Which set-up a load begins with."""

    REMEMBERED = "remembered"
    """The one that worked last time, where the planned one had failed."""
    FULL = "full"
    SAFE = "safe"


SetUpOption = Annotated[SetUp, typer.Option(
    "--set-up", help="remembered: what worked last time; full: as planned again; safe: plain and small, on the processor.")]


def load_and_wait(
    session: Session, services: AppServices, key: str, request: Request | None = None, *, anyway: bool = False,
    set_up: SetUp = SetUp.REMEMBERED,
) -> ChatFormat:
    """Load a model, as is remembered for it or as `request` says, and wait; its chat template.

    Raises what the engine says if it fails.
    """
    outcome: list[ModelLoaded | EngineFailed] = []
    over = threading.Event()

    def on_event(event: Event) -> None:
        if isinstance(event, LoadStepped):
            session.output.say(event.sentence)
        elif isinstance(event, ModelLoaded | EngineFailed):
            outcome.append(event)
            over.set()

    if set_up is SetUp.FULL:
        services.set_ups.forget(key)
    unsubscribe = services.events.subscribe(on_event)
    try:
        session.output.say(f"Loading {key} ...")
        services.engine.load(key, request, anyway=anyway, safe=set_up is SetUp.SAFE)
        while not over.wait(0.2):
            pass
    finally:
        unsubscribe()
    if isinstance(outcome[0], EngineFailed):
        if services.engine.state.may_be_tried:
            session.output.say("With --anyway it is loaded in spite of that.")
        say_way_out(session, outcome[0].error)
        raise outcome[0].error
    reduced = services.engine.state.reduced
    if reduced:
        session.output.say(f"Loaded with {reduced}; --set-up full tries it as planned again.")
    return outcome[0].info.format


def say_way_out(session: Session, error: AppError) -> None:
    """The option that does what an error advises, where there is one."""
    if error.remedy is Remedy.LOAD_SAFELY:
        session.output.say("With --set-up safe it is loaded like that.")
