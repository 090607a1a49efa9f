from __future__ import annotations

from localai_app.errors import NO_MODEL_LOADED, Remedy, all_specs
from localai_app.errors import AppError as Error
from localai_app.gui.messages import MessageKind, Messages, UserMessage
from localai_app.gui.remedies import remedy_label


def test_messages_wait_for_a_window_and_arrive_once(qtbot) -> None:
    messages, seen = Messages(), list[UserMessage]()
    messages.info("Early")
    messages.posted.connect(seen.append)
    assert seen == []
    messages.open_screen()
    messages.info("Late")
    assert [message.text for message in seen] == ["Early", "Late"]


def test_an_error_carries_words_button_and_details(qtbot) -> None:
    messages, seen, done = Messages(), list[UserMessage](), []
    messages.posted.connect(seen.append)
    messages.open_screen()
    messages.set_remedy(Remedy.CHOOSE_MODEL, lambda: done.append("chosen"))
    messages.error(Error(NO_MODEL_LOADED, detail="worker: idle"))
    message = seen[0]
    assert (message.kind, message.text, message.advice) == (MessageKind.ERROR, "No model is loaded.", "Choose a model first.")
    assert message.button == "Choose a model"
    assert message.on_button is not None
    message.on_button()
    assert done == ["chosen"]
    assert "no_model_loaded" in message.details
    assert "worker: idle" in message.details


def test_without_a_known_action_there_is_no_button(qtbot) -> None:
    messages, seen = Messages(), list[UserMessage]()
    messages.posted.connect(seen.append)
    messages.open_screen()
    messages.error(Error(NO_MODEL_LOADED))
    assert seen[0].button == ""


def test_every_declared_remedy_has_words_on_its_button() -> None:
    for spec in all_specs():
        assert bool(remedy_label(spec.remedy)) == (spec.remedy is not Remedy.NONE)
