"""The command that says what makes a model slow here: why-slow."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Annotated

import msgspec
import typer

from localai_app.cli.loading import load_and_wait
from localai_app.cli.session import Session
from localai_app.engine.protocol import FinishReason, GenerationStats, HistoryCut, Sampling, TextGenerated, ToolCall
from localai_app.errors import AppError
from localai_app.services.app_services import AppServices
from localai_app.services.speed_snapshot import Finding

PROMPT = "The history of the lighthouse begins"
TOKENS = 48
NOTHING = "Nothing was found that slows it down."


class _WaitingSink:
    """Waits for the end of an answer whose text nobody reads."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.error: AppError | None = None

    def on_text(self, event: TextGenerated) -> None:
        pass

    def on_cut(self, cut: HistoryCut) -> None:
        pass

    def on_finished(
        self, reason: FinishReason, stats: GenerationStats, tool_calls: Sequence[ToolCall] = (),  # noqa: ARG002
    ) -> None:
        self.over.set()

    def on_failed(self, error: AppError) -> None:
        self.error = error
        self.over.set()


def register(app: typer.Typer) -> None:
    """Add this command to the program."""
    app.command("why-slow")(why_slow)


def why_slow(
    context: typer.Context,
    model: Annotated[
        str, typer.Argument(help="An installed model, which is loaded and asked something. Nothing: only the computer.")] = "",
) -> None:
    """Say what makes a model slow on this computer, and what would help."""
    session: Session = context.obj
    with session.services() as services:
        services.hardware.detect_now()
        if model:
            _ask(session, services, services.library.get(model).key)
        report = services.why_slow.look()
    session.output.document({
        "headline": report.headline, "model": report.model_key,
        "findings": [_document(finding) for finding in report.findings]})
    session.output.words(report.headline)
    for finding in report.findings:
        session.output.words()
        session.output.words(finding.words)
        session.output.words(f"  {finding.advice}")
        if finding.command:
            session.output.words(f"  {finding.command}")
    if not report.findings:
        session.output.words(NOTHING)


def _ask(session: Session, services: AppServices, key: str) -> None:
    """Load a model as it is remembered and have it answer for a moment."""
    load_and_wait(session, services, key)
    sink = _WaitingSink()
    services.why_slow.tell(TOKENS)
    services.engine.complete(PROMPT, Sampling(max_tokens=TOKENS), sink)
    while not sink.over.wait(0.2):
        pass
    if sink.error is not None:
        raise sink.error


def _document(finding: Finding) -> dict[str, object]:
    return {
        "cause": finding.cause.value, "words": finding.words, "advice": finding.advice, "remedy": finding.remedy.value,
        "load": msgspec.to_builtins(finding.load), "setting": finding.setting, "value": finding.value,
        "command": finding.command}
