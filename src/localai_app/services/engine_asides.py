"""Requests to a worker that are no answers: counting a conversation, and tuning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from localai_app.engine import protocol

Aside = protocol.CountTokens | protocol.Tune


class Asides:
    """The last request of each kind and who waits for it; who asked for the same before hears nothing any more."""

    def __init__(self) -> None:
        self._waiting: dict[type, tuple[int, Callable[[Any], None]]] = {}

    @property
    def tuning_id(self) -> int | None:
        """The tuning under way, which an answer should not wait for."""
        waiting = self._waiting.get(protocol.Tune)
        return waiting[0] if waiting is not None else None

    def add(self, command: Aside, on_answer: Callable[[Any], None]) -> None:
        """Note who waits for what is about to be sent."""
        self._waiting[type(command)] = command.id, on_answer

    def answered(self, event: protocol.TokensCounted | protocol.Tuned, *, is_wanted: bool) -> None:
        """Pass an answer on, if it is of the last request of its kind and wanted."""
        kind = protocol.CountTokens if isinstance(event, protocol.TokensCounted) else protocol.Tune
        waiting = self._waiting.get(kind)
        if waiting is None or waiting[0] != event.id:
            return
        del self._waiting[kind]
        if is_wanted:
            waiting[1](event)
