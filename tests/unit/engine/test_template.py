"""Chat templates of every sort, among them hostile ones; rendered by the real jinja2."""

from __future__ import annotations

import threading
import time

import psutil
import pytest

pytest.importorskip("jinja2")

from localai_app.engine.failure import RequestRefusedError, error_of
from localai_app.engine.protocol import ChatMessage, ToolCall
from localai_app.engine.worker.guarded import LimitExceededError, run_guarded
from localai_app.engine.worker.template import ChatTemplate, fold_system_into_user, join_neighbours

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" + CHATML
ALTERNATING = (
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate') }}{% endif %}[{{ m.role }}]{{ m.content }}{% endfor %}"
)
DROPS_SYSTEM = "{% for m in messages if m.role != 'system' %}[{{ m.role }}]{{ m.content }}{% endfor %}"


def message(role: str, content: str) -> ChatMessage:
    return ChatMessage(role=role, content=content)


def render(source: str, *messages: ChatMessage) -> str:
    return ChatTemplate(source, bos="<s>", eos="</s>").render(messages or (message("user", "Hi"),))


def reason(source: str, *messages: ChatMessage) -> str:
    with pytest.raises(RequestRefusedError) as refused:
        render(source, *messages)
    assert error_of(refused.value.as_event(1)).code == "template_failed"
    return refused.value.fields["reason"]


def test_ordinary_template() -> None:
    assert render(CHATML, message("system", "Be kind."), message("user", "Hi")) == (
        "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n")


def test_special_tokens_functions_and_extensions() -> None:
    source = (
        "{{ bos_token }}{% for m in messages %}{% if loop.index > 1 %}{% break %}{% endif %}{{ m | tojson }}{% endfor %}"
        "{% generation %}G{% endgeneration %}{{ strftime_now('%Y') }}{{ eos_token }}{% if tools %}T{% endif %}"
    )
    assert render(source, message("user", "<é>"), message("user", "x")) == (
        '<s>{"role": "user", "content": "<é>"}G' + time.strftime("%Y") + "</s>")


@pytest.mark.parametrize("source", [NO_SYSTEM, ALTERNATING, DROPS_SYSTEM])
def test_system_message_that_the_template_does_not_take_goes_into_the_first_turn(source: str) -> None:
    prompt = render(source, message("system", "Be kind."), message("user", "Hi"))
    assert "Be kind.\n\nHi" in prompt
    assert "system" not in prompt


def test_neighbours_of_one_role_are_joined_where_roles_must_alternate() -> None:
    assert render(ALTERNATING, message("user", "a"), message("user", "b")) == "[user]a\n\nb"
    assert render(CHATML, message("user", "a"), message("user", "b")).count("<|im_start|>user") == 2


def test_refusal_of_the_template_is_told_in_its_own_words() -> None:
    assert reason("{{ raise_exception('Only after 8 pm') }}") == "Only after 8 pm"


def test_folding_and_joining() -> None:
    system, user, answer = message("system", "S"), message("user", "U"), message("assistant", "A")
    assert fold_system_into_user((system, user, answer)) == (message("user", "S\n\nU"), answer)
    assert fold_system_into_user((user, answer)) == (user, answer)
    assert fold_system_into_user((system,)) == (message("user", "S"),)
    assert join_neighbours((user, user, answer)) == (message("user", "U\n\nU"), answer)
    assert join_neighbours(()) == ()


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ messages.append(1) }}",
        "{{ (strftime_now | attr('__globals__')).values() | list }}",
        "{% include 'x' %}",
        "{% import 'x' as y %}",
        "{{ self.__init__.__globals__ }}",
        "{{ '%s'.format.__func__ }}{{ ().__class__.__bases__[0].__subclasses__() }}",
        "{% for x in %}",
        "{{ unknown.thing }}",
        "{% if %}",
        "{{ 1 / 0 }}",
        "{{ 10 ** (10 ** 10) }}",
        "{{ range(10**9) | list }}",
        "(" * 5000 + ")" * 5000 + "{{" + "(" * 5000 + "1" + ")" * 5000 + "}}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "x" * (600 * 1024),
    ],
)
def test_hostile_or_broken_template_is_refused(source: str) -> None:
    started_s = time.perf_counter()
    assert reason(source)
    assert time.perf_counter() - started_s < 3.0


@pytest.mark.parametrize(
    "source",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% set n = namespace(x=3) %}{% for a in range(9999) %}{% for b in range(9999) %}{% set n.x = n.x + a %}{% endfor %}"
        "{% endfor %}",
    ],
)
def test_template_that_never_ends_is_given_up_and_ended(source: str) -> None:
    started_s = time.perf_counter()
    assert "within 2 seconds" in reason(source)
    assert time.perf_counter() - started_s < 3.0
    assert not [thread for thread in threading.enumerate() if thread.name == "guarded"]


@pytest.mark.parametrize(
    "source",
    [
        "{{ 'A' * 10**10 }}",
        "{{ 'A' | center(10**10) }}",
        "{{ '%10000000000d' % 1 }}",
        "{% set ns = namespace(s='A') %}{% for i in range(50) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
    ],
)
def test_template_that_eats_memory_is_refused(source: str) -> None:
    before_bytes = psutil.Process().memory_info().rss
    assert reason(source)
    assert psutil.Process().memory_info().rss - before_bytes < 600 * 1024**2


def test_internals_of_functions_are_out_of_reach() -> None:
    assert render("{{ raise_exception.__globals__ }}{{ strftime_now.__code__ }}{{ messages.__class__ }}") == ""


def test_template_works_again_after_a_refusal() -> None:
    template = ChatTemplate("{% if messages | length > 1 %}{{ 1 / 0 }}{% endif %}ok", bos="", eos="")
    with pytest.raises(RequestRefusedError):
        template.render((message("user", "a"), message("user", "b")))
    assert template.render((message("user", "a"),)) == "ok"


def test_guard_passes_results_and_errors_on() -> None:
    assert run_guarded(lambda: 42, deadline_s=1, memory_bytes=10**8) == 42
    with pytest.raises(ZeroDivisionError):
        run_guarded(lambda: 1 // 0, deadline_s=1, memory_bytes=10**8)
    with pytest.raises(LimitExceededError, match=r"within 0\.1 seconds"):
        run_guarded(spin, deadline_s=0.1, memory_bytes=10**8)


def spin() -> None:
    while True:
        pass


TOOL = {"type": "function", "function": {"name": "weather", "description": "tells it", "parameters": {"type": "object"}}}
KNOWS_TOOLS = (
    "{% if tools %}Tools: {{ tools | tojson }}{% endif %}{% for m in messages %}[{{ m.role }}]{{ m.content }}"
    "{% for call in m.tool_calls or [] %}<{{ call.function.name }} {{ call.function.arguments | tojson }}>{% endfor %}"
    "{% endfor %}"
)
WANTS_TEXT = KNOWS_TOOLS.replace("call.function.arguments | tojson", "call.function.arguments + ''")
WITHOUT_CHECK = "{% for tool in tools %}{{ tool.function.name }}{% endfor %}{% for m in messages %}{{ m.content }}{% endfor %}"
ASKED = (
    message("user", "How is it?"),
    ChatMessage(role="assistant", content="", tool_calls=(ToolCall(name="weather", arguments_json='{"town": "Oslo"}'),)),
    ChatMessage(role="tool", content="Rain", name="weather"))


def test_tools_and_calls_reach_a_template_that_knows_them() -> None:
    for source in (KNOWS_TOOLS, WANTS_TEXT):
        template = ChatTemplate(source, bos="", eos="")
        assert template.knows_tools()
        prompt = template.render(ASKED, tools=[TOOL])
        assert "tells it" in prompt
        assert '<weather {"town": "Oslo"}>' in prompt
        assert prompt.endswith("[tool]Rain")


def test_tools_are_told_in_words_where_the_template_knows_none() -> None:
    template = ChatTemplate(CHATML, bos="", eos="")
    assert not template.knows_tools()
    prompt = template.render(ASKED, tools=[TOOL])
    assert '"description": "tells it"' in prompt.split("<|im_end|>")[0]
    assert '<tool_call>{"name": "weather", "arguments": {"town": "Oslo"}}</tool_call>' in prompt
    assert "Result of the tool weather:\nRain" in prompt
    assert "tool\n" not in prompt.replace("the tool", "")


def test_call_that_could_not_be_read_goes_back_as_text() -> None:
    bad = ChatMessage(role="assistant", content="Hm", tool_calls=(
        ToolCall(name="", arguments_json="{}", problem="its JSON is not valid", raw="<tool_call>{"),))
    assert render(KNOWS_TOOLS, message("user", "a"), bad).endswith("[assistant]Hm\n<tool_call>{")


def test_template_made_only_for_tools_gets_an_empty_list() -> None:
    template = ChatTemplate(WITHOUT_CHECK, bos="", eos="")
    assert template.render((message("user", "Hi"),)) == "Hi"
    assert template.render((message("user", "Hi"),), tools=[TOOL]) == "weatherHi"
