"""Prompt sets: those that come with the program, and the user's own, from a file, from past chats or written here."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from pathlib import Path

import msgspec

from localai_app import errors
from localai_app.compare.prompt_file import MAX_FILE_BYTES, ReadPrompts, read_prompts, written_prompts
from localai_app.compare.prompt_records import MAX_NAME_CHARS, MAX_PROMPT_CHARS, MAX_PROMPTS, set_problem
from localai_app.compare.prompts import Prompt, PromptSet
from localai_app.errors import AppError
from localai_app.services.events import EventBus, PromptSetsChanged
from localai_app.services.stored_json import stored_value
from localai_app.store.conversations import ConversationStore
from localai_app.store.prompt_sets import PromptSetStore
from localai_app.store.records import Role

log = logging.getLogger(__name__)

BUILT_IN_ORDER = ("reasoning", "coding", "summarizing", "translation", "instructions")
"""Files of the built-in sets, as they are listed."""


class PromptSetService:
    """All prompt sets by name; two sets whose names differ only in case are the same. `PromptSetsChanged` tells of changes."""

    def __init__(
        self, events: EventBus, store: PromptSetStore, conversations: ConversationStore, built_in_folder: Path,
    ) -> None:
        self._events = events
        self._store = store
        self._conversations = conversations
        self._folder = built_in_folder
        self._lock = threading.Lock()
        self._built_in: tuple[PromptSet, ...] | None = None

    def sets(self) -> tuple[PromptSet, ...]:
        """Those of the program, then the user's own by name."""
        return (*self._built_in_sets(), *self._own_sets())

    def get(self, name: str) -> PromptSet:
        """One set; AppError PROMPT_SET_UNKNOWN."""
        found = next((known for known in self.sets() if _same(known.name, name)), None)
        if found is None:
            raise AppError(errors.PROMPT_SET_UNKNOWN, name=name)
        return found

    def save(self, prompt_set: PromptSet, *, replaces: str | None = None) -> PromptSet:
        """Keep an own set; returns it as kept.

        `replaces`: the name that it had so far, so that it is renamed; without it the name has to be free. AppError where it
        cannot be kept.
        """
        name = " ".join(prompt_set.name.split())
        kept = msgspec.structs.replace(prompt_set, name=name, is_built_in=False)
        problem = set_problem(kept)
        if problem:
            raise AppError(errors.PROMPT_SET_WRONG, name=name or "without a name", reason=problem)
        if any(_same(name, known.name) for known in self._built_in_sets()):
            raise AppError(errors.PROMPT_SET_BUILT_IN, name=name)
        with self._lock:
            own = [known.name for known in self._own_sets()]
            if any(_same(name, known) and not (replaces is not None and _same(known, replaces)) for known in own):
                raise AppError(errors.PROMPT_SET_NAME_TAKEN, name=name)
            for old in own:
                if replaces is not None and _same(old, replaces) and old != name:
                    self._store.remove(old)
            self._store.set(name, msgspec.json.encode(kept).decode())
        self._events.publish(PromptSetsChanged())
        return kept

    def rename(self, name: str, new_name: str) -> PromptSet:
        """Give an own set another name; AppError where that cannot be."""
        return self.save(msgspec.structs.replace(self._own(name), name=new_name), replaces=name)

    def remove(self, name: str) -> PromptSet:
        """Forget an own set; returns what was removed, so that `save` brings it back."""
        removed = self._own(name)
        self._store.remove(removed.name)
        self._events.publish(PromptSetsChanged())
        return removed

    def free_name(self, wanted: str) -> str:
        """A name that no set has: as wanted, or with a number."""
        wanted = " ".join(wanted.split())[:MAX_NAME_CHARS].strip() or "Prompts"
        taken = {known.name.casefold() for known in self.sets()}
        name, number = wanted, 2
        while name.casefold() in taken:
            name, number = f"{wanted[:MAX_NAME_CHARS - 6]} {number}", number + 1
        return name

    def read_file(self, path: Path) -> ReadPrompts:
        """The prompts of a file with everything that is wrong in it; AppError where it cannot be opened."""
        try:
            with path.open("rb") as file:
                data = file.read(MAX_FILE_BYTES + 1)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise AppError(errors.PROMPT_FILE_UNREADABLE, file=path.name or path, reason=reason) from error
        return read_prompts(path.name, data)

    def from_file(self, path: Path) -> PromptSet:
        """The prompts of a file, not kept yet; AppError where anything in it is wrong."""
        found = self.read_file(path)
        if found.problems or found.prompt_set is None:
            more = f" (and {len(found.problems) - 1} more)" if len(found.problems) > 1 else ""
            raise AppError(
                errors.PROMPT_FILE_WRONG, file=path.name, reason=f"{found.problems[0]}{more}",
                detail="\n".join(map(str, found.problems)))
        return found.prompt_set

    def from_chats(self, conversation_ids: Iterable[int], name: str, *, first_only: bool = True) -> PromptSet:
        """What the user asked in chats, not kept yet: their first messages, or all. Each text is there once.

        AppError CHAT_MISSING for a chat that is gone, PROMPT_SET_WRONG where nothing was asked.
        """
        texts: dict[str, None] = {}
        for conversation_id in conversation_ids:
            self._conversations.get(conversation_id)
            asked = [message.text.strip() for message in self._conversations.messages(conversation_id)
                     if message.role is Role.USER and message.text.strip() and len(message.text) <= MAX_PROMPT_CHARS]
            texts |= dict.fromkeys(asked[:1] if first_only else asked)
        prompts = tuple(Prompt(text=text) for text in texts)[:MAX_PROMPTS]
        found = PromptSet(name=" ".join(name.split()), prompts=prompts)
        problem = set_problem(found)
        if problem:
            raise AppError(errors.PROMPT_SET_WRONG, name=found.name, reason=problem)
        return found

    def export(self, name: str, path: Path) -> None:
        """Write a set into a .json file that `from_file` reads; AppError where it cannot be written."""
        content = written_prompts(self.get(name))
        try:
            path.write_bytes(content)
        except OSError as error:
            raise AppError(
                errors.PROMPT_FILE_UNREADABLE, file=path.name or path, reason=error.strerror or str(error)) from error

    def _own(self, name: str) -> PromptSet:
        found = self.get(name)
        if found.is_built_in:
            raise AppError(errors.PROMPT_SET_BUILT_IN, name=found.name)
        return found

    def _own_sets(self) -> tuple[PromptSet, ...]:
        values = (stored_value(text, PromptSet, "a prompt set") for text in self._store.list())
        return tuple(sorted((value for value in values if value is not None), key=lambda one: one.name.casefold()))

    def _built_in_sets(self) -> tuple[PromptSet, ...]:
        if self._built_in is None:
            self._built_in = tuple(load_built_in(self._folder / f"{stem}.json") for stem in BUILT_IN_ORDER)
        return self._built_in


def load_built_in(path: Path) -> PromptSet:
    """A set of the program. A file with a mistake is an incomplete installation, so it raises ValueError."""
    found = read_prompts(path.name, path.read_bytes())
    if found.prompt_set is None or found.problems:
        raise ValueError(f"{path} is damaged: {'; '.join(map(str, found.problems))}")
    return msgspec.structs.replace(found.prompt_set, is_built_in=True)


def _same(name: str, other: str) -> bool:
    return " ".join(name.split()).casefold() == " ".join(other.split()).casefold()
