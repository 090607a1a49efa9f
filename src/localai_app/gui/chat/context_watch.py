"""Says while a message is written how full the context would be with it, and lets answers that filled it go on."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from PySide6.QtCore import QObject, QTimer, Signal

from localai_app.errors import AppError
from localai_app.gui.chat.chat_view import ChatView
from localai_app.gui.chat.message_views import AnswerView
from localai_app.gui.tasks import run_in_background
from localai_app.services.chat_service import ChatService
from localai_app.services.events import ContextChecked

DELAY_MS = 400
"""After the last key: long enough not to count every letter, short enough to be read before Enter."""


class ContextWatch(QObject):
    """Has the text counted when it has not changed for a moment, away from the window's thread."""

    failed = Signal(object)
    """AppError, for the strip above the composer."""

    def __init__(
        self, chat: ChatService, view: ChatView, conversation_id: Callable[[], int | None], parent: QObject | None = None,
    ) -> None:
        """`conversation_id` tells which chat is open."""
        super().__init__(parent)
        self._chat = chat
        self._composer, self._column = view.composer, view.transcript.column
        self._conversation_id = conversation_id
        self._timer = QTimer(self, singleShot=True, interval=DELAY_MS)
        self._timer.timeout.connect(self._check)
        self._composer.edit.textChanged.connect(self.check_soon)
        self._column.continue_requested.connect(self._on_continue_requested)

    def check_soon(self) -> None:
        """Something changed that may change what fits. What was said before holds until it is known better."""
        if not self._composer.text.strip():
            self._composer.show_warning()
        self._timer.start()

    def offer_to_continue(self) -> None:
        """Let the newest answer go on if it filled the context and something else may be left out for it."""
        conversation_id, last = self._conversation_id(), self._column.last_view
        if conversation_id is not None and isinstance(last, AnswerView) and last.filled_context:
            with self._telling():
                last.set_can_outgrow(self._chat.can_outgrow_context(conversation_id))

    def on_context_checked(self, event: ContextChecked) -> None:
        """Show what was counted, if it was this text in this chat."""
        is_current = (event.conversation_id, event.draft) == (self._conversation_id(), self._composer.text)
        if not is_current or self._composer.is_answering:
            return
        counted = event.counted
        used = counted.prompt_tokens if counted.sent_tokens is None else counted.sent_tokens
        self._composer.show_context(min(used, counted.context_total), counted.context_total)
        self._composer.show_warning(event.words if event.draft.strip() else "")

    def _check(self) -> None:
        conversation_id, draft = self._conversation_id(), self._composer.text
        if self._composer.is_answering:
            return
        self.offer_to_continue()
        # What cannot be counted is said when it is sent.
        run_in_background(
            self, lambda: self._chat.check_context(conversation_id, draft), lambda _none: None, lambda _error: None)

    def _on_continue_requested(self) -> None:
        conversation_id = self._conversation_id()
        if conversation_id is not None:
            with self._telling():
                self._chat.continue_answer(conversation_id)

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except AppError as error:
            self.failed.emit(error)
