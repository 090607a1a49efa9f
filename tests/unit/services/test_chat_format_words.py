"""What is said of chat templates and of thinking that cannot be chosen."""

from __future__ import annotations

from pathlib import Path

import pytest

from localai_app.engine.protocol import ChatFormat, ToolCall
from localai_app.errors import AppError
from localai_app.services.chat_format_words import template_kind, template_label, template_notice, thinking_notice
from localai_app.services.tools import call_words, read_tools


@pytest.mark.parametrize(("chosen", "words"), [
    (ChatFormat(), ""),
    (ChatFormat(template="chatml"), ""),
    (ChatFormat(template="none"), "This is a base model: it continues text and does not chat."),
    (ChatFormat(template="none", problem="your chat template cannot be used: x"),
     "Your chat template cannot be used: x. This is a base model: it continues text and does not chat."),
    (ChatFormat(template="chatml", problem="the model file has no chat template"),
     "The model file has no chat template. The one of ChatML (Qwen, SmolLM, LFM2 and others) is used instead."),
    (ChatFormat(template="plain", problem="the model's own chat template cannot be used: x."),
     "The model's own chat template cannot be used: x. Plain lines with names are used instead; answers may be worse."),
    (ChatFormat(template="own", problem="your chat template cannot be used: x"),
     "Your chat template cannot be used: x. The model's own one is used instead."),
])
def test_notice(chosen: ChatFormat, words: str) -> None:
    assert template_notice(chosen) == words


def test_kinds_and_labels() -> None:
    assert [template_kind(text) for text in ("", " ", "gemma", "{{ x }}")] == ["own", "own", "gemma", "custom"]
    assert template_label("own") == "The model's own"
    assert template_label("gemma") == "Gemma 1 to 3"


@pytest.mark.parametrize(("offered", "wanted", "words"), [
    ((), None, ""), ((), "off", ""), ((), "on", "no switch"), (("on",), "off", "always thinks"), (("on",), "high", ""),
    (("off", "on"), "on", ""), (("off", "on"), "high", "off, on"), (("low", "high"), "off", "nearest"),
])
def test_thinking_that_is_not_offered(offered: tuple[str, ...], wanted: str | None, words: str) -> None:
    notice = thinking_notice(ChatFormat(thinking=offered), wanted)
    assert (words in notice) if words else notice == ""


def test_tools_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "tools.json"
    file.write_text('[{"name": "f"}, {"type": "function", "function": {"name": "g", "parameters": {"type": "object"}}}]')
    first, second = read_tools(file)
    assert first == {"type": "function", "function": {
        "name": "f", "description": "", "parameters": {"type": "object", "properties": {}}}}
    assert second["function"]["parameters"] == {"type": "object"}


@pytest.mark.parametrize("text", ["", "{}", "[]", "[1]", '[{"name": ""}]', "[" * 10_000, "x" * 2_000_000])
def test_file_without_tools(tmp_path: Path, text: str) -> None:
    file = tmp_path / "tools.json"
    file.write_text(text)
    with pytest.raises(AppError) as refused:
        read_tools(file)
    assert refused.value.code == "file_invalid"
    with pytest.raises(AppError) as missing:
        read_tools(tmp_path / "nothing.json")
    assert missing.value.code == "file_unreadable"


def test_calls_in_words() -> None:
    assert call_words(ToolCall(name="f", arguments_json='{"a":1}')) == 'f({"a":1})'
    bad = ToolCall(name="", arguments_json="{}", problem="its JSON is not valid", raw="<tool_call>{")
    assert call_words(bad) == "Cannot be read, its JSON is not valid: <tool_call>{"
