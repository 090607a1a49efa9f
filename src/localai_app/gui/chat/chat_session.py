"""The chat on screen: what is sent, streamed, stopped and tried again goes through here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from PySide6.QtCore import QObject, Signal

from localai_app.errors import AppError
from localai_app.gui.chat.chat_view import ChatView
from localai_app.gui.chat.live_answers import LiveAnswers
from localai_app.gui.chat.message_views import AnswerView
from localai_app.services.chat_service import ChatService
from localai_app.services.events import AnswerEnded, AnswerProgressed, MessageAdded
from localai_app.store.records import Conversation, Message, Role

T = TypeVar("T")
UNSAVED_TITLE = "New chat"


class ChatSession(QObject):
    """A chat begins unsaved (`conversation_id` None); it is created in the store with its first message."""

    failed = Signal(object)
    """AppError, for the strip above the composer."""
    opened = Signal()
    created = Signal(int)
    """The chat exists in the store now; its first message follows."""
    leaving = Signal()
    """Another chat is about to be shown."""

    def __init__(self, chat: ChatService, view: ChatView, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._chat = chat
        self._view = view
        self._drafts: dict[int | None, str] = {}
        self._live = LiveAnswers(chat.messages)
        self.conversation_id: int | None = None
        self.has_model = True
        """Whether anything could answer; without it an empty chat says how to get a model."""

    @property
    def is_answering(self) -> bool:
        """Whether the answer to this chat streams."""
        return self.conversation_id is not None and self._chat.answering_conversation_id == self.conversation_id

    @property
    def is_waiting(self) -> bool:
        """Whether a question of this chat waits for the model or for another chat."""
        return self.conversation_id is not None and self._chat.is_waiting(self.conversation_id)

    @property
    def waits_for_another(self) -> bool:
        """Whether a question of this chat is answered after the answer in another chat."""
        return self.is_waiting and self._chat.answering_conversation_id not in (None, self.conversation_id)

    @property
    def context_used(self) -> int:
        """Tokens that this chat took of the context with its last answer; 0 before the first one."""
        return self._view.transcript.column.context_used

    def open(self, conversation_id: int | None) -> None:
        """Show a chat, or an unsaved one; what was written but not sent stays with its chat."""
        self.leaving.emit()
        self._drafts[self.conversation_id] = self._view.composer.text
        self.conversation_id = conversation_id
        self._view.composer.set_text(self._drafts.pop(conversation_id, ""))
        self.reload()
        self.opened.emit()

    def reload(self) -> None:
        """Show the messages as they are now."""
        messages: list[Message] = []
        if self.conversation_id is not None:
            conversation_id = self.conversation_id
            stored = self._attempt(lambda: self._chat.messages(conversation_id))
            messages = self._live.with_live_text(stored or ())
        self._view.transcript.show_messages(messages)
        self.refresh()

    def refresh(self) -> None:
        """Follow what is being answered."""
        empty = self._view.welcome if self.has_model else self._view.no_model
        has_messages = bool(self._view.transcript.column.message_ids) or self.is_waiting
        self._view.show_part(self._view.transcript if has_messages else empty)
        is_busy = self.is_answering or self.is_waiting
        self._view.composer.set_answering(is_busy)
        self._view.transcript.column.set_unanswered(not is_busy)

    def show_title(self, conversation: Conversation | None) -> None:
        """Show the title of the chat as it is stored."""
        title = conversation.title if conversation is not None else UNSAVED_TITLE
        self._view.title.show_title(title, can_rename=conversation is not None)

    def send(self, text: str, model_key: str) -> None:
        """Send a message; what was written is cleared only once it is stored."""
        def send_now() -> bool:
            if self.conversation_id is None:
                self.conversation_id = self._chat.create().id
                self.created.emit(self.conversation_id)
            self._chat.send(self.conversation_id, text, model_key)
            return True

        if self._attempt(send_now):
            if self._view.composer.text.strip() == text:
                self._view.composer.clear()
            self.refresh()
            self.opened.emit()

    def stop(self) -> None:
        """End the answer, or take the waiting question back."""
        conversation_id = self.conversation_id
        if conversation_id is not None and (self.is_answering or self.is_waiting):
            self._attempt(lambda: self._chat.stop(conversation_id))
            self.refresh()

    def retry(self) -> None:
        """Go on with an interrupted answer, or answer the last question anew."""
        conversation_id = self.conversation_id
        if conversation_id is not None:
            self._attempt(lambda: self._chat.retry(conversation_id))
            self._drop_removed(conversation_id)
            self.refresh()

    def has_unanswered_question(self) -> bool:
        """Whether the chat ends with a question, or with an answer that was cut off."""
        view = self._view.transcript.column.last_view
        return view is not None and (not isinstance(view, AnswerView) or view.is_interrupted)

    def tells(self, error: AppError | None) -> bool:
        """Whether the transcript ends with an answer that says this error itself, with its button."""
        view = self._view.transcript.column.last_view
        return error is not None and isinstance(view, AnswerView) and view.is_interrupted and (
            view.message.error.startswith(error.message))

    def on_message_added(self, event: MessageAdded) -> None:
        """A question or the beginning of an answer."""
        self._live.begin(event.message)
        if event.message.conversation_id == self.conversation_id:
            self._view.transcript.add_message(event.message)
            self.refresh()

    def on_answer_progressed(self, event: AnswerProgressed) -> None:
        """More text of an answer, in this chat or another one."""
        is_here = event.conversation_id == self.conversation_id
        shown = self._view.transcript.column.view(event.message_id) if is_here else None
        self._live.progress(event, shown.message if shown is not None else None)
        if isinstance(shown, AnswerView):
            shown.append(event)
            self._view.composer.show_context(event.stats.context_used, event.stats.context_total)
            if not self._view.composer.is_answering:
                self.refresh()

    def on_answer_ended(self, event: AnswerEnded) -> None:
        """An answer is complete, stopped or interrupted."""
        self._live.end(event.message.id)
        if event.message.conversation_id == self.conversation_id:
            self._view.transcript.add_message(event.message)
            self.refresh()

    def forget(self, conversation_id: int) -> None:
        """The chat was deleted."""
        self._drafts.pop(conversation_id, None)
        if conversation_id == self.conversation_id:
            self.open(None)

    def _drop_removed(self, conversation_id: int) -> None:
        """Trying again removes the old answer from the store without an event of its own."""
        stored = {message.id for message in self._chat.messages(conversation_id)}
        for message_id in self._view.transcript.column.message_ids:
            view = self._view.transcript.column.view(message_id)
            if message_id not in stored and view is not None and view.message.role is Role.ASSISTANT:
                self._view.transcript.column.remove(message_id)

    def _attempt(self, action: Callable[[], T]) -> T | None:
        try:
            return action()
        except AppError as error:
            self.failed.emit(error)
            return None
