"""Chats and their messages."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from localai_app.errors import CHAT_MISSING, AppError
from localai_app.store.connection import StoreConnection, Value
from localai_app.store.records import AnswerCut, CallRecord, Conversation, Message, MessageState, MessageStats, Role
from localai_app.store.text import contains_clause, search_words, storable

T = TypeVar("T")
KEEP_DELETED_S = 30 * 24 * 3600.0
CONVERSATION_COLUMNS = "id, title, model_key, created_s, updated_s"
MESSAGE_COLUMNS = "id, conversation_id, role, text, state, created_s, model_key, stats, error, cut, thinking, tool_calls"


class ConversationStore:
    """The chats of the store. Deleted chats stay for 30 days, invisible, so that deleting can be undone."""

    def __init__(self, connection: StoreConnection, clock: Callable[[], float]) -> None:
        self._connection = connection
        self._clock = clock

    def create(self, title: str, model_key: str = "") -> Conversation:
        """Add an empty chat."""
        now_s = self._clock()
        title, model_key = storable(title), storable(model_key)
        row_id = self._connection.write(
            "INSERT INTO conversations (title, model_key, created_s, updated_s) VALUES (?, ?, ?, ?)",
            (title, model_key, now_s, now_s))
        return Conversation(id=row_id, title=title, model_key=model_key, created_s=now_s, updated_s=now_s)

    def list(self, query: str = "") -> tuple[Conversation, ...]:
        """Chats, the one that changed last first. With a query: those that hold each of its words in title or messages."""
        conditions, parameters = ["deleted_s IS NULL"], list[Value]()
        for word in search_words(query):
            in_title, in_text = contains_clause("title", word), contains_clause("text", word)
            conditions.append(
                f"({in_title.sql} OR id IN (SELECT conversation_id FROM messages WHERE {in_text.sql}))")
            parameters += [in_title.parameter, in_text.parameter]
        rows = self._connection.read(
            f"SELECT {CONVERSATION_COLUMNS} FROM conversations WHERE {' AND '.join(conditions)} "
            "ORDER BY updated_s DESC, id DESC", parameters)
        return tuple(_conversation(row) for row in rows)

    def get(self, conversation_id: int) -> Conversation:
        """One chat; AppError CHAT_MISSING where there is none, or where it was deleted."""
        row = self._connection.read_one(
            f"SELECT {CONVERSATION_COLUMNS} FROM conversations WHERE id = ? AND deleted_s IS NULL", (conversation_id,))
        if row is None:
            raise AppError(CHAT_MISSING)
        return _conversation(row)

    def rename(self, conversation_id: int, title: str) -> None:
        """Give a chat another title; its place in the list stays."""
        self._connection.write("UPDATE conversations SET title = ? WHERE id = ?", (storable(title), conversation_id))

    def set_model(self, conversation_id: int, model_key: str) -> None:
        """Remember the model that a chat used last."""
        self._connection.write("UPDATE conversations SET model_key = ? WHERE id = ?", (storable(model_key), conversation_id))

    def delete(self, conversation_id: int) -> None:
        """Hide a chat; `restore_last_deleted` brings it back."""
        self._connection.write(
            "UPDATE conversations SET deleted_s = ? WHERE id = ? AND deleted_s IS NULL", (self._clock(), conversation_id))

    def restore_last_deleted(self) -> Conversation | None:
        """Bring back the chat that was deleted last; None where none is left to bring back."""
        with self._connection.transaction():
            row = self._connection.read_one(
                f"SELECT {CONVERSATION_COLUMNS} FROM conversations WHERE deleted_s IS NOT NULL "
                "ORDER BY deleted_s DESC, id DESC LIMIT 1")
            if row is None:
                return None
            self._connection.write("UPDATE conversations SET deleted_s = NULL WHERE id = ?", (row["id"],))
        return _conversation(row)

    def purge_deleted(self) -> None:
        """Remove chats for good that were deleted more than 30 days ago, with their messages."""
        self._connection.write("DELETE FROM conversations WHERE deleted_s < ?", (self._clock() - KEEP_DELETED_S,))

    def add_message(
        self, conversation_id: int, role: Role, text: str, state: MessageState = MessageState.DONE, *, model_key: str = "",
    ) -> Message:
        """Append a message; the chat moves to the front of the list."""
        now_s = self._clock()
        text, model_key = storable(text), storable(model_key)
        thinking = "" if role is Role.ASSISTANT else None
        with self._connection.transaction():
            row_id = self._connection.write(
                "INSERT INTO messages (conversation_id, role, text, state, created_s, model_key, writer, thinking) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (conversation_id, role.value, text, state.value, now_s, model_key, _this_process(), thinking))
            self._connection.write("UPDATE conversations SET updated_s = ? WHERE id = ?", (now_s, conversation_id))
        return Message(
            id=row_id, conversation_id=conversation_id, role=role, text=text, state=state, created_s=now_s, model_key=model_key,
            thinking=thinking)

    def append_text(self, message_id: int, text: str, thinking: str = "") -> None:
        """Add to a streaming answer and its thinking. Each call reaches the disk: gather tokens for some 0.5 s first."""
        self._connection.write(
            "UPDATE messages SET text = text || ?, thinking = coalesce(thinking, '') || ? WHERE id = ?",
            (storable(text), storable(thinking), message_id))

    def set_parts(self, message_id: int, text: str, thinking: str, tool_calls: tuple[CallRecord, ...] = ()) -> None:
        """Replace what an answer says, what was thought before it, and the tools that it asks for."""
        encoded = msgspec.json.encode(tool_calls).decode() if tool_calls else ""
        self._connection.write(
            "UPDATE messages SET text = ?, thinking = ?, tool_calls = ? WHERE id = ?",
            (storable(text), storable(thinking), storable(encoded), message_id))

    def finish_message(
        self, message_id: int, state: MessageState, stats: MessageStats | None = None, error: str = "",
    ) -> Message:
        """Set how far an answer got (STREAMING: it goes on) and return it as stored.

        AppError CHAT_MISSING where it was removed meanwhile.
        """
        encoded = None if stats is None else msgspec.json.encode(stats).decode()
        with self._connection.transaction():
            self._connection.write(
                "UPDATE messages SET state = ?, stats = ?, error = ?, writer = ? WHERE id = ?",
                (state.value, encoded, storable(error), _this_process(), message_id))
            self._connection.write(
                "UPDATE conversations SET updated_s = ? WHERE id = (SELECT conversation_id FROM messages WHERE id = ?)",
                (self._clock(), message_id))
            return self.get_message(message_id)

    def set_cut(self, message_id: int, cut: AnswerCut | None) -> None:
        """Keep with an answer what of the chat the model did not get for it; None: it got all."""
        encoded = None if cut is None else msgspec.json.encode(cut).decode()
        self._connection.write("UPDATE messages SET cut = ? WHERE id = ?", (encoded, message_id))

    def get_message(self, message_id: int) -> Message:
        """One message; AppError CHAT_MISSING where there is none."""
        row = self._connection.read_one(f"SELECT {MESSAGE_COLUMNS} FROM messages WHERE id = ?", (message_id,))
        if row is None:
            raise AppError(CHAT_MISSING)
        return _message(row)

    def messages(self, conversation_id: int) -> tuple[Message, ...]:
        """All messages of a chat in their order."""
        rows = self._connection.read(
            f"SELECT {MESSAGE_COLUMNS} FROM messages WHERE conversation_id = ? ORDER BY id", (conversation_id,))
        return tuple(_message(row) for row in rows)

    def delete_message(self, message_id: int) -> None:
        """Remove one message for good."""
        self._connection.write("DELETE FROM messages WHERE id = ?", (message_id,))

    def interrupt_streaming(self) -> int:
        """Mark answers whose program died while they streamed as interrupted; how many there were.

        Answers that another running program is writing at this moment are left alone.
        """
        with self._connection.transaction():
            rows = self._connection.read(
                "SELECT id, writer FROM messages WHERE state = ?", (MessageState.STREAMING.value,))
            left_over = [row["id"] for row in rows if not _is_other_process_alive(row["writer"])]
            for message_id in left_over:
                self._connection.write(
                    "UPDATE messages SET state = ? WHERE id = ?", (MessageState.INTERRUPTED.value, message_id))
        return len(left_over)


def _this_process() -> str:
    """Names this process so that a later one with the same number is not taken for it."""
    return f"{os.getpid()}:{_started_s(os.getpid())}"


def _is_other_process_alive(writer: str) -> bool:
    pid, _, started_s = writer.partition(":")
    return pid.isdigit() and int(pid) != os.getpid() and started_s != "" and started_s == str(_started_s(int(pid)))


def _started_s(pid: int) -> int | None:
    # Needed only around an answer, while this module is imported before the window shows.
    import psutil

    try:
        return int(psutil.Process(pid).create_time())
    except (psutil.Error, OverflowError):
        return None


def _conversation(row: Any) -> Conversation:
    return Conversation(
        id=row["id"], title=row["title"], model_key=row["model_key"], created_s=row["created_s"], updated_s=row["updated_s"])


def _message(row: Any) -> Message:
    return Message(
        id=row["id"], conversation_id=row["conversation_id"], role=Role(row["role"]), text=row["text"],
        state=MessageState(row["state"]), created_s=row["created_s"], model_key=row["model_key"],
        stats=_read_json(row["stats"], MessageStats), error=row["error"], cut=_read_json(row["cut"], AnswerCut),
        thinking=row["thinking"], tool_calls=_read_json(row["tool_calls"], tuple[CallRecord, ...]) or ())


def _read_json(encoded: str | None, kind: type[T]) -> T | None:
    """What is kept beside a message; where it cannot be read, it is not worth losing the message."""
    if not encoded:
        return None
    try:
        return msgspec.json.decode(encoded, type=kind)
    except msgspec.MsgspecError:
        return None
