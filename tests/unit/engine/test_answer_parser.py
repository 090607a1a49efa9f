"""Thinking, answer and tool calls are told apart, however the text is cut."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from localai_app.engine.protocol import Channel, Chat, ChatMessage, ToolCall
from localai_app.engine.reading.answer_parser import AnswerParser, PlainParser, TagParser
from localai_app.engine.reading.answer_shape import AnswerShape, shape_of
from localai_app.engine.reading.harmony_parser import HarmonyParser
from localai_app.engine.reading.thinking_tags import TAG_PAIRS, THINK
from localai_app.engine.reading.tool_calls import HERMES, SYNTAXES

Parts = tuple[str, str, tuple[ToolCall, ...]]


def read(parser: AnswerParser, *pieces: str) -> Parts:
    """(thinking, answer, calls) as somebody puts them together who follows the stream."""
    thinking = answer = ""
    for piece in (piece for text in pieces for piece in parser.feed(text)):
        thinking, answer = added(thinking, answer, piece)
    for piece in parser.finish():
        thinking, answer = added(thinking, answer, piece)
    return thinking, answer, parser.tool_calls


def added(thinking: str, answer: str, piece) -> tuple[str, str]:
    if piece.takes_back:
        return thinking + answer + piece.text, ""
    if piece.channel is Channel.THINKING:
        return thinking + piece.text, answer
    return thinking, answer + (piece.text if piece.channel is Channel.ANSWER else "")


def tags(**options: object) -> TagParser:
    return TagParser(TAG_PAIRS, SYNTAXES, **options)  # type: ignore[arg-type]


def call(name: str, arguments: str = "{}") -> dict[str, object]:
    return {"name": name, "arguments": json.loads(arguments)}


def plain(calls: tuple[ToolCall, ...]) -> list[dict[str, object]]:
    return [call(item.name, item.arguments_json) | ({"problem": item.problem} if item.problem else {}) for item in calls]


@pytest.mark.parametrize(("text", "thinking", "answer"), [
    ("Just an answer", "", "Just an answer"),
    ("  \n spaced", "", "  \n spaced"),
    ("<think>hm</think>\n\nYes", "hm", "Yes"),
    ("\n <think>\nhm\n\nso\n</think>Yes", "hm\n\nso", "Yes"),
    ("<think>never closed", "never closed", ""),
    ("closed only</think>\nYes", "closed only", "Yes"),
    ("<think></think>Yes", "", "Yes"),
    ("<think>a</think>b</think>c", "a", "b</think>c"),
    ("<think>a<think>b</think>c</think>d", "a<think>bc", "d"),
    ("Write `</think>` to end it", "", "Write `</think>` to end it"),
    ("<think>They mean `</think>` here</think>Yes", "They mean `</think>` here", "Yes"),
    ("<think>See\n```\n<think>x</think>\n```\nso</think>Yes", "See\n```\n<think>x```\nso", "Yes"),
    ("<think>See\n```\nnever closed fence</think>Yes", "See\n```\nnever closed fence", "Yes"),
    ("```xml\n<think>x</think>\n```\nDone", "", "```xml\n<think>x</think>\n```\nDone"),
    ("The tag <think> opens it", "", "The tag <think> opens it"),
    ("<thin", "", "<thin"),
    ("a < b </thi", "", "a < b </thi"),
    ("", "", ""),
    ("[THINK]hm[/THINK]Yes", "hm", "Yes"),
    ("<|channel>thought\nhm\n<channel|>Yes", "hm", "Yes"),
    ("<think>a</think>\n<think>b</think>Yes", "a\n\nb", "Yes"),
])
def test_thinking_by_tags(text: str, thinking: str, answer: str) -> None:
    assert read(tags(), text) == (thinking, answer, ())
    assert read(tags(), *text) == (thinking, answer, ())


@pytest.mark.parametrize(("text", "thinking", "answer"), [
    ("hm</think>\n\nYes", "hm", "Yes"),
    ("\nhm", "hm", ""),
    ("hm <think> hm</think>Yes", "hm <think> hm", "Yes"),
])
def test_thinking_that_the_prompt_has_opened(text: str, thinking: str, answer: str) -> None:
    assert read(tags(opened=THINK), text) == (thinking, answer, ())
    assert read(tags(opened=THINK), *text) == (thinking, answer, ())


def test_a_tag_in_pieces_never_shows() -> None:
    parser = tags()
    for letter in "<think>hm</think>Yes":
        assert all("<" not in piece.text for piece in parser.feed(letter))


def test_a_late_closing_tag_takes_the_answer_back() -> None:
    parser = tags()
    assert [piece.text for piece in parser.feed("I wonder ")] == ["I wonder "]
    taken, rest = parser.feed("why</think>Because")
    assert (taken.text, taken.channel, taken.takes_back) == ("why", Channel.THINKING, True)
    assert (rest.text, rest.channel) == ("Because", Channel.ANSWER)


@pytest.mark.parametrize(("text", "calls"), [
    ('<tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>', [call("f", '{"a": 1}')]),
    ('<tool_call>\n{"name": "f", "arguments": "{\\"a\\": 1}"}\n</tool_call>\n<tool_call>{"name": "g"}</tool_call>',
     [call("f", '{"a": 1}'), call("g")]),
    ('<tool_call>{"name": "f", "arguments": {"t": "</tool_call> </think>"}}</tool_call>',
     [call("f", '{"t": "</tool_call> </think>"}')]),
    ('<tool_call>{"name": "f", "arguments": {"t": "\\"</tool_call>"}}</tool_call>', [call("f", '{"t": "\\"</tool_call>"}')]),
    ('<tool_call>{"name": "f", "arguments": {}}', [call("f")]),
    ("<tool_call>\n<function=f>\n<parameter=a>\n1\n</parameter>\n<parameter=b>\nx\ny\n</parameter>\n</function>\n</tool_call>",
     [call("f", '{"a": 1, "b": "x\\ny"}')]),
    ("<tool_call>f\n<arg_key>a</arg_key>\n<arg_value>b c</arg_value>\n</tool_call>", [call("f", '{"a": "b c"}')]),
    ('[TOOL_CALLS][{"name": "f", "arguments": {"a": 1}}]', [call("f", '{"a": 1}')]),
    ('[TOOL_CALLS]f[ARGS]{"a": 1}[TOOL_CALLS]g[CALL_ID]x[ARGS]{}', [call("f", '{"a": 1}'), call("g")]),
    ('<|python_tag|>{"name": "f", "parameters": {"a": 1}}; {"name": "g", "parameters": {}}',
     [call("f", '{"a": 1}'), call("g")]),
    ('<|tool_call_start|>[f(a="x", b=[1, None]), g()]<|tool_call_end|>', [call("f", '{"a": "x", "b": [1, null]}'), call("g")]),
    ('<|tool_call>call:f{a:<|"|>x, }<|"|>,b:[1,true,{c:2.5}],d:null}<tool_call|>',
     [call("f", '{"a": "x, }", "b": [1, true, {"c": 2.5}], "d": null}')]),
    ('<|tool_call|>[{"name": "f", "arguments": {}}]<|/tool_call|>', [call("f")]),
    ('<minimax:tool_call>\n<invoke name="f">\n<parameter name="a">true</parameter>\n</invoke>\n</minimax:tool_call>',
     [call("f", '{"a": true}')]),
    ('<|START_ACTION|>[{"tool_call_id": "0", "tool_name": "f", "parameters": {"a": 1}}]<|END_ACTION|>',
     [call("f", '{"a": 1}')]),
    ('<|tool_calls_section_begin|><|tool_call_begin|>functions.f:0<|tool_call_argument_begin|>{"a": 1}<|tool_call_end|>'
     '<|tool_calls_section_end|>', [call("f", '{"a": 1}')]),
    ('<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n{"a": 1}\n```<｜tool▁call▁end｜>'
     '<｜tool▁calls▁end｜>', [call("f", '{"a": 1}')]),
    ('<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>{"a": 1}<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
     [call("f", '{"a": 1}')]),
])
def test_tool_calls(text: str, calls: list[dict[str, object]]) -> None:
    thinking, answer, found = read(tags(), "<think>I need it</think>\nLet me look.\n", text)
    assert (thinking, answer.strip(), plain(found)) == ("I need it", "Let me look.", calls)
    assert read(tags(), *text) == ("", "", found)
    assert len({item.id for item in found}) == len(found)


@pytest.mark.parametrize(("body", "problem"), [
    ('{"name": "f", "arguments": {"a": }}', "JSON is not valid"),
    ('{"arguments": {}}', "names no tool"),
    ('{"name": "f", "arguments": [1]}', "arguments are not"),
    ("", "no known notation"),
    ("<<>>", "no known notation"),
    ('[f("x")]', "no names"),
    ('[f(a=open("/etc/passwd"))]', "Python"),
    ("[f(a=" + "(" * 5000 + ")]", "Python"),
    ("[" * 100_000, "no known notation"),
    ('{"name": "f", "arguments": ' + '{"a":' * 5000 + "1" + "}" * 5000 + "}", "not valid"),
    ("call:f{a:" + "[" * 500 + "]" * 500 + "}", "deeply"),
    ('{"name": "f", "arguments": {"a": "' + "x" * 300_000 + '"}}', "too long"),
])
def test_call_that_cannot_be_read_stays_text(body: str, problem: str) -> None:
    text = f"<tool_call>{body}</tool_call>"
    thinking, answer, found = read(tags(), text, "\nDone")
    assert (thinking, answer) == ("", "Done")
    assert len(found) == 1
    assert problem in found[0].problem
    assert found[0].raw == text


def test_call_that_was_cut_off() -> None:
    _thinking, _answer, found = read(tags(), '<tool_call>{"name": "f", "argum')
    assert "ended in the middle" in found[0].problem
    assert found[0].raw == '<tool_call>{"name": "f", "argum'


def test_call_in_code_is_text() -> None:
    text = '```\n<tool_call>{"name": "f"}</tool_call>\n```\nand `<tool_call>`'
    assert read(tags(), text) == ("", text, ())


def test_plain_json_is_a_call_only_of_a_tool_that_was_offered() -> None:
    text = '{"name": "f", "parameters": {"a": 1}}'
    assert plain(read(tags(bare_tools=["f"]), *text)[2]) == [call("f", '{"a": 1}')]
    assert read(tags(bare_tools=["g"]), text) == ("", text, ())
    assert read(tags(), text) == ("", text, ())
    assert read(tags(bare_tools=["f"]), "{not json") == ("", "{not json", ())


@pytest.mark.parametrize(("text", "expected"), [
    ("<|channel|>analysis<|message|>hm\n<|end|><|start|>assistant<|channel|>final<|message|>Yes", ("hm", "Yes", [])),
    ("<|channel|>analysis<|message|>never", ("never", "", [])),
    ("<|channel|>final<|message|>Yes<|return|>", ("", "Yes", [])),
    ("<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>analysis<|message|>b<|end|>", ("a\n\nb", "", [])),
    ("<|channel|>commentary<|message|>Looking.<|end|><|start|>assistant<|channel|>commentary to=functions.f "
     '<|constrain|>json<|message|>{"a": 1}<|call|>', ("", "Looking.", [call("f", '{"a": 1}')])),
    (' to=functions.f<|channel|>commentary<|message|>{"a": "<think>"}', ("", "", [call("f", '{"a": "<think>"}')])),
    ("No header at all", ("", "No header at all", [])),
    ("assistant is a word", ("", "assistant is a word", [])),
    ("<|channel|>anal", ("", "", [])),
    ("", ("", "", [])),
])
def test_harmony(text: str, expected: tuple[str, str, list[dict[str, object]]]) -> None:
    thinking, answer, calls = read(HarmonyParser(), text)
    assert (thinking, answer, plain(calls)) == expected
    assert read(HarmonyParser(), *text) == (thinking, answer, calls)


def test_harmony_call_that_is_no_json() -> None:
    _thinking, _answer, calls = read(HarmonyParser(), "<|channel|>commentary to=functions.f<|message|>{bad")
    assert calls[0].problem
    assert calls[0].raw == "{bad"


FRAGMENTS = [
    "<think>", "</think>", "text ", "`", "```\n", "\n", "<", "</", "think>", "<tool_call>", "</tool_call>", '{"name": "f"}',
    '"', "\\", "[TOOL_CALLS]", "f[ARGS]{}", "[THINK]", "[/THINK]", "é🙂", " ", "{", "to=", "assistant", "<|channel|>",
    "analysis", "<|message|>", "<|end|>", "<|start|>", " to=functions.f", "<|channel>thought", "<channel|>", "</tool", "final"]
PARSERS: dict[str, Callable[[], AnswerParser]] = {
    "tags": tags, "opened": lambda: tags(opened=THINK), "bare": lambda: tags(bare_tools=["f"]), "harmony": HarmonyParser,
    "plain": PlainParser}


@pytest.mark.parametrize("name", PARSERS)
@given(fragments=st.lists(st.sampled_from(FRAGMENTS), max_size=14), widths=st.lists(st.integers(1, 7), max_size=60))
@example(fragments=["<think>", "<think>", "</think>", "`", "</think>", "`"], widths=[1] * 60)
@example(fragments=["text ", "</think>", " ", "</think>", "text "], widths=[3, 2, 6])
def test_pieces_give_the_same_as_the_whole(name: str, fragments: list[str], widths: list[int]) -> None:
    text = "".join(fragments)
    pieces, position = [], 0
    for width in widths:
        pieces.append(text[position:position + width])
        position += width
    pieces.append(text[position:])
    assert read(PARSERS[name](), *pieces) == read(PARSERS[name](), text)


@given(text=st.text(max_size=80))
def test_text_without_tags_is_the_answer(text: str) -> None:
    if "<" not in text and "[" not in text:
        assert read(tags(), *text) == ("", text, ())


def chat(**options: object) -> Chat:
    return Chat(id=1, messages=(ChatMessage(role="user", content="Hi"),), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(("shape", "prompt"), [
    (AnswerShape(), "ask"), (AnswerShape(), "ask<think>\n"), (AnswerShape(is_harmony=True), "<|start|>assistant"),
    (AnswerShape((THINK, TAG_PAIRS[1])), "ask[/INST]")])
def test_an_answer_goes_on_where_it_stopped(shape: AnswerShape, prompt: str) -> None:
    """Within the thinking, within the answer, with and without thinking before it."""
    within = shape.reading(prompt, chat(prefill_thinking="I wonder"))
    assert "I wonder" in within.resumed
    assert read(within.parser, " why")[:2] == (" why", "")
    behind = shape.reading(prompt, chat(prefill_thinking="I wonder", prefill="Because"))
    assert read(behind.parser, " so")[:2] == ("", " so")
    without = shape.reading(prompt, chat(prefill="Because"))
    assert read(without.parser, " so")[:2] == ("", " so")
    fresh = shape.reading(prompt, chat())
    assert fresh.resumed == ""


def test_shape_is_told_from_template_and_vocabulary() -> None:
    nothing = shape_of("", lambda _text: False)
    assert (nothing.pairs, nothing.syntaxes, nothing.is_harmony) == ((THINK,), (HERMES,), False)
    mistral = shape_of("[TOOL_CALLS] [THINK]", lambda _text: False)
    assert [pair.opening for pair in mistral.pairs] == ["<think>", "[THINK]"]
    assert "[ARGS]" in mistral.markers
    lfm2 = shape_of("", lambda text: text == "<|tool_call_start|>")
    assert lfm2.syntaxes[-1].closing == "<|tool_call_end|>"
    assert shape_of("<|start|><|channel|>analysis<|message|>", lambda _text: False).is_harmony
    llama = shape_of("Environment: ipython", lambda _text: False)
    tools = ({"type": "function", "function": {"name": "f"}},)
    assert plain(read(llama.reading("", chat(tools=tools)).parser, '{"name": "f", "parameters": {}}')[2]) == [call("f")]
