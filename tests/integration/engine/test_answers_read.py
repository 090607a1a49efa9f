"""Thinking and tool calls on their way out of real workers: told apart by channel, timed, typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from localai_app.engine.protocol import Channel, Chat, ChatMessage, Finished, Sampling, TextGenerated
from localai_app.engine.sampling import LogitBias
from tests.helpers.gguf_files import TinyModel, Typed, tiny_metadata, write_tiny_gguf
from tests.helpers.quick_model import quick_smollm2_path

CALL = '<tool_call>{"name": "weather", "arguments": {"town": "Oslo", "note": "</tool_call></think>"}}</tool_call>'
WEATHER = {"type": "function", "function": {"name": "weather", "description": "", "parameters": {
    "type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]}}}


@pytest.fixture
def echo(start_worker):
    """Answers with the question."""
    worker = start_worker("echo", "--text", "prompt", "--tokens-per-s", "200")
    worker.load()
    return worker


def channels(worker, request_id: int) -> dict[Channel, str]:
    """What came on each channel; pieces that were taken back count where they belong in the end."""
    found = dict.fromkeys(Channel, "")
    for event in worker.events:
        if isinstance(event, TextGenerated) and event.id == request_id:
            if event.takes_back:
                found[Channel.THINKING] += found[Channel.ANSWER]
                found[Channel.ANSWER] = ""
            found[event.channel] += event.text
    return found


def ask(worker, text: str, **options: object) -> tuple[dict[Channel, str], Finished]:
    request_id = worker.new_id()
    messages = (ChatMessage(role="user", content=text),)
    worker.client.send(Chat(id=request_id, messages=messages, **options))  # type: ignore[arg-type]
    finished = worker.finish(request_id)[1]
    return channels(worker, request_id), finished


def test_thinking_is_told_apart_and_timed(echo) -> None:
    text = "<think>" + "I wonder about it. " * 10 + "</think>\n\nBecause of `</think>` 🙂"
    found, finished = ask(echo, text)
    assert found[Channel.THINKING] == ("I wonder about it. " * 10).strip()
    assert found[Channel.ANSWER] == "Because of `</think>` 🙂"
    assert 0 < finished.stats.thinking_s < finished.stats.completion_s
    live = [event.stats.thinking_s for event in echo.events if isinstance(event, TextGenerated)]
    assert live == sorted(live)
    plain, without = ask(echo, "Nothing to think about")
    assert plain[Channel.ANSWER] == "Nothing to think about"
    assert without.stats.thinking_s == 0.0


def test_thinking_closed_without_opening_is_taken_back(echo) -> None:
    found, finished = ask(echo, "I wonder why that is so</think>Because")
    assert (found[Channel.THINKING], found[Channel.ANSWER]) == ("I wonder why that is so", "Because")
    assert finished.stats.thinking_s > 0


def test_calls_are_typed_and_no_part_of_the_answer(echo) -> None:
    found, finished = ask(echo, f"Let me look.\n{CALL}")
    assert found[Channel.ANSWER].strip() == "Let me look."
    assert found[Channel.TOOL] == CALL
    (call,) = finished.tool_calls
    assert (call.name, call.problem) == ("weather", "")
    assert call.arguments_json == '{"town":"Oslo","note":"</tool_call></think>"}'


def test_answer_goes_on_within_its_thinking(echo) -> None:
    text = "<think>\none two three four</think>\nfive"
    found, _ = ask(echo, text, prefill_thinking="one two")
    assert (found[Channel.THINKING].strip(), found[Channel.ANSWER]) == ("three four", "five")


def test_special_tokens_are_seen_by_the_parser_and_by_nobody_else(start_worker, tmp_path: Path) -> None:
    """A model whose vocabulary has control tokens for thinking, made to write nothing but them and a letter."""
    metadata = tiny_metadata(TinyModel())
    tokens = list(metadata["tokenizer.ggml.tokens"].value)  # type: ignore[call-overload]
    types = list(metadata["tokenizer.ggml.token_type"].value)  # type: ignore[call-overload]
    letter = tokens.index("a")
    for place, text in ((300, "[THINK]"), (301, "[/THINK]"), (302, "[OTHER]")):
        tokens[place], types[place] = text, 3
    path = write_tiny_gguf(tmp_path / "tiny.gguf", metadata={
        "tokenizer.ggml.tokens": Typed("arr", tokens, "str"), "tokenizer.ggml.token_type": Typed("arr", types, "i32")})
    worker = start_worker("llama")
    worker.load(model_path=str(path), ctx=256)

    def forced(*places: int) -> Sampling:
        return Sampling(temperature=0.0, max_tokens=4, logit_bias=tuple(LogitBias(token=place, bias=1e4) for place in places))

    assert ask(worker, "Hi", sampling=forced(300))[0][Channel.THINKING] == "[THINK]" * 3
    assert ask(worker, "Hi", sampling=forced(301))[0][Channel.ANSWER] == "[/THINK]" * 3
    assert ask(worker, "Hi", sampling=forced(302))[0] == dict.fromkeys(Channel, "")
    assert ask(worker, "Hi", sampling=forced(letter))[0][Channel.ANSWER] == "aaaa"


@pytest.mark.model
def test_real_model_is_told_about_tools_in_words(start_worker) -> None:
    """The template of SmolLM2 knows no tools: they stand in the system message, and their results in the user's."""
    worker = start_worker("llama")
    loaded = worker.load(model_path=str(quick_smollm2_path()), ctx=2048)
    assert not loaded.format.tools
    few = Sampling(temperature=0.0, max_tokens=2)
    without = ask(worker, "Weather in Oslo?", sampling=few)[1].stats.prompt_tokens
    told = ask(worker, "Weather in Oslo?", sampling=few, tools=(WEATHER,))[1].stats.prompt_tokens
    assert told > without + 40
    grammar = 'root ::= "<tool_call>" "{\\"name\\": \\"weather\\", \\"arguments\\": {\\"town\\": \\"Oslo\\"}}" "</tool_call>"'
    _found, finished = ask(
        worker, "Weather in Oslo?", sampling=Sampling(temperature=0.0, max_tokens=60, grammar=grammar), tools=(WEATHER,))
    assert [(call.name, call.arguments_json) for call in finished.tool_calls] == [("weather", '{"town":"Oslo"}')]
