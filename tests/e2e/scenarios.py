"""What the person at the window does, step by step; each `yield` waits until its condition holds."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt

from localai_app.services.views import EngineStatus
from localai_app.store.records import MessageState

if TYPE_CHECKING:
    from tests.e2e.driver import Person

Script = Generator[Callable[[], bool], None, None]

ANSWER_TOKENS, ANSWER_TOKENS_IN_PICTURES = 120, 300
"""The small model does not always find an end."""
QUESTION = "Write a Python function that reverses a string, and explain it."


def first_run(person: Person) -> Script:
    """Fresh profile: suggestions, one click, a chat with the cursor in the prompt, an answer with its speed."""
    yield lambda: len(person.buttons("Download and chat")) >= 2
    person.seen["title"] = person.texts()
    assert person.services is not None
    services = person.services
    yield lambda: services.hardware.report is not None and services.hardware.report.engine_devices is not None
    yield _after(0.5)
    person.shoot("first-start")
    services.settings.set("max_answer_tokens", ANSWER_TOKENS_IN_PICTURES if person.is_photographed else ANSWER_TOKENS)
    services.settings.set("temperature", 0.0)
    person.click("Download and chat")
    yield lambda: person.window.page_name == "chat" or any(view.eta_s for view in services.downloads.downloads())
    if person.window.page_name != "chat":
        person.shoot("downloading")
    yield from _ask(person, QUESTION)


def _ask(person: Person, question: str) -> Script:
    assert person.services is not None
    services = person.services
    yield lambda: person.window.page_name == "chat" and services.engine.state.status is EngineStatus.READY
    person.shoot("chat-empty")
    person.type_text(question)
    person.press(Qt.Key.Key_Return)
    yield lambda: services.chat.answering_conversation_id is not None
    yield lambda: services.engine.state.context_used > 60 or services.chat.answering_conversation_id is None
    person.seen["live"] = person.texts()
    person.shoot("chat-streaming")
    yield lambda: services.chat.answering_conversation_id is None
    yield lambda: bool(person.buttons("Copy"))
    person.shoot("chat")
    message = services.chat.messages(services.chat.conversations()[0].id)[-1]
    person.seen["answer"] = message.text
    person.seen["tps"] = message.stats.tps if message.stats is not None else None
    person.seen["screen"] = person.texts()


def restart(person: Person) -> Script:
    """The program again: the conversation is in the list, and opening it shows the answer."""
    yield lambda: person.window.page_name == "chat"
    assert person.services is not None
    services = person.services
    person.seen["titles"] = [conversation.title for conversation in services.chat.conversations()]
    person.click_row(0, "Chats")
    answer = services.chat.messages(services.chat.conversations()[0].id)[-1].text
    line = next(line for line in map(_letters, answer.split("\n")) if len(line) > 12)
    yield lambda: line[:30] in _letters(person.texts())
    person.shoot("restarted")


def _letters(text: str) -> str:
    """Only letters and digits: what is left of a text whatever Markdown made of it."""
    return "".join(character for character in text if character.isalnum())


def kill_worker(person: Person) -> Script:
    """The worker is killed in the middle of an answer: the window stays, the text is kept, one click goes on."""
    yield lambda: person.window.page_name == "chat"
    assert person.services is not None
    services = person.services
    services.settings.reset("max_answer_tokens")
    person.click("New chat")
    yield lambda: True
    person.type_text("Write a long story about a lighthouse.")
    person.press(Qt.Key.Key_Return)
    yield lambda: services.engine.state.context_used > 80 and services.engine.state.status is EngineStatus.ANSWERING
    pid = services.engine.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    yield lambda: services.engine.state.status is EngineStatus.FAILED
    conversation = services.chat.conversations()[0]
    yield lambda: services.chat.messages(conversation.id)[-1].state is MessageState.INTERRUPTED
    kept = services.chat.messages(conversation.id)[-1].text
    person.seen["kept"] = kept
    yield lambda: "The engine stopped" in person.texts()
    person.shoot("engine-stopped")
    person.seen["words"] = person.texts()
    go_on = next(words for words in ("Go on", "Continue", "Load again") if person.buttons(words))
    person.seen["button"] = go_on
    person.click(go_on)
    yield lambda: services.engine.state.status is EngineStatus.ANSWERING
    yield lambda: len(services.chat.messages(conversation.id)[-1].text) > len(kept) + 20
    person.click("Stop")
    yield lambda: services.chat.answering_conversation_id is None
    person.seen["after"] = services.chat.messages(conversation.id)[-1].text


def start_download(person: Person) -> Script:
    """A click on a card; the rest is waiting for somebody to kill this process."""
    yield lambda: bool(person.buttons("Download and chat"))
    person.click("Download and chat")
    yield lambda: person.window.page_name == "chat"


def finish_download(person: Person) -> Script:
    """The program after that: the download goes on by itself."""
    yield lambda: person.services is not None
    services = person.services
    assert services is not None
    yield lambda: bool(services.library.models())
    person.seen["models"] = [model.key for model in services.library.models()]


def tour(person: Person) -> Script:
    """Every page once, for pictures."""
    assert person.services is not None
    services = person.services
    yield lambda: services.discovery.suggestions is not None
    yield lambda: services.hardware.report is not None and services.hardware.report.engine_devices is not None
    for page in ("performance", "settings", "models"):
        person.window.show_page(page)
        yield _after(0.5)
        person.shoot(page)
    for tab in ("Suggested", "Discover", "Installed"):
        person.click(tab)
        yield _after(0.4)  # Before the Hub of this computer says that it has no other models.
        person.shoot(tab.lower())
    person.click("Load…")
    yield lambda: bool(person.buttons("Back to automatic"))
    yield lambda: "Memory as planned by llama.cpp" in person.texts()
    yield _after(1.0)
    person.shoot("load-panel")
    person.click("Close")


COMPARED = "Name three primary colors, and say where one sees them."
COMPARED_TOKENS = 40


def compare(person: Person) -> Script:
    """Two models on one prompt, one of them downloaded first: side by side, then in turn and blind."""
    assert person.services is not None
    services = person.services
    comparisons = services.compare.comparisons
    yield lambda: services.hardware.report is not None and services.hardware.report.engine_devices is not None
    yield lambda: bool(services.discovery.rows()) and bool(services.library.models())
    services.settings.set("max_answer_tokens", COMPARED_TOKENS)
    person.window.show_page("compare")
    yield lambda: bool(person.buttons("Choose a model"))
    person.click("Choose a model")
    yield lambda: bool(person.dialogs())
    person.type_in_dialog("gemma", Qt.Key.Key_Return)
    yield lambda: "is being downloaded" in person.texts() or len(services.library.models()) > 1
    person.focus("Prompt for all contestants")
    person.type_text(COMPARED)
    person.choose("How contestants run", "Side by side")
    person.click("Run")
    yield lambda: comparisons.state.is_running
    yield lambda: "writing" in person.texts() or not comparisons.state.is_running
    person.shoot("compare-streaming")
    yield lambda: not comparisons.state.is_running and person.texts().count("peak ") == 2
    person.seen["side_by_side"] = person.texts()
    person.click("1  ")
    yield lambda: "best" in person.texts().split("\n")
    for toast in person.window.toasts.toasts:
        toast.close_button.click()
    person.shoot("compare")
    person.choose("How contestants run", "In turn")
    person.click("Blind")
    person.click("Run again")
    yield lambda: comparisons.state.is_running
    yield lambda: bool(person.buttons("Run again")) and person.texts().count("done") == 2
    person.seen["blind"] = person.texts()
    person.shoot("compare-blind")
    person.click("0  Tie")
    yield lambda: bool(person.buttons("Undo"))
    person.seen["in_turn"] = person.texts()
    kept = [comparisons.get(row.id) for row in comparisons.rows()]
    person.seen["kept"] = [
        {"way": one.schedule.way if one.schedule is not None else "", "votes": len(one.votes),
         "loads": [run.load_s for run in one.runs], "speeds": [answer.tps for answer in one.answers]} for one in kept]


def _after(seconds: float) -> Callable[[], bool]:
    """Holds once this time has gone by."""
    end_s = time.monotonic() + seconds
    return lambda: time.monotonic() >= end_s


SCENARIOS: dict[str, Callable[[Person], Script]] = {
    "first_run": first_run,
    "restart": restart,
    "kill_worker": kill_worker,
    "start_download": start_download,
    "finish_download": finish_download,
    "tour": tour,
    "compare": compare,
}
