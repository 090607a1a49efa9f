"""Tries a chat template out: in a worker of its own, because a template is code that may never end."""

from __future__ import annotations

import queue
from collections.abc import Sequence
from pathlib import Path

from localai_app import errors
from localai_app.engine.client import EngineClient
from localai_app.engine.failure import error_of
from localai_app.engine.launch import worker_command
from localai_app.engine.outcome import WorkerOutcome
from localai_app.engine.protocol import ChatMessage, Event, RenderTemplate, RequestFailed, TemplateRendered
from localai_app.errors import AppError

LIMIT_S = 30.0
EXAMPLE = (
    ChatMessage(role="system", content="You are helpful."), ChatMessage(role="user", content="What is a lighthouse?"),
    ChatMessage(role="assistant", content="A tower with a light for ships."), ChatMessage(role="user", content="Name one."))
BOS, EOS = "<bos>", "<eos>"
"""Stand for the special tokens of the model in the example."""


def preview_template(
    source: str, worker_dir: Path, messages: Sequence[ChatMessage] = EXAMPLE,
) -> TemplateRendered:
    """What a template makes of an example; takes about a second.

    AppError TEMPLATE_FAILED with the reason, or how the worker ended.
    """
    news: queue.SimpleQueue[Event | WorkerOutcome] = queue.SimpleQueue()
    client = EngineClient(worker_command("echo"), cwd=worker_dir, on_event=news.put, on_exit=news.put)
    client.start()
    try:
        client.send(RenderTemplate(id=1, source=source, messages=tuple(messages), bos=BOS, eos=EOS))
        while True:
            try:
                event = news.get(timeout=LIMIT_S)
            except queue.Empty:
                raise AppError(errors.ENGINE_NOT_RESPONDING, seconds=round(LIMIT_S)) from None
            if isinstance(event, TemplateRendered):
                return event
            if isinstance(event, RequestFailed):
                raise error_of(event)
            if isinstance(event, WorkerOutcome):
                raise event.error()
    finally:
        client.stop()
