"""What a template lets one choose about thinking is found by rendering it."""

from __future__ import annotations

import time

import pytest

pytest.importorskip("jinja2")

from localai_app.engine.failure import RequestRefusedError
from localai_app.engine.template_families import FAMILIES, PLAIN, family_for, is_chat_name
from localai_app.engine.worker.template import ChatTemplate
from localai_app.engine.worker.thinking_switch import PROBE, ThinkingSwitch, find_switch

QWEN = "<a>{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>{% endif %}"
DEEPSEEK = "{% if not thinking is defined %}{% set thinking = false %}{% endif %}<a>{{ '<think>' if thinking else '</think>' }}"
EFFORT = "{{ reasoning_effort | default('medium') }}<a>"
BOTH = "<a>{% if enable_thinking %}{{ reasoning_effort or 'high' }}<think>{% endif %}"
WITHOUT = (
    "{% if reasoning_effort not in ['no_think', 'low', 'high'] %}{% set reasoning_effort = 'low' %}{% endif %}"
    "{{ reasoning_effort }}")
ALWAYS = "<a><think>\n"


def switch_of(source: str) -> ThinkingSwitch:
    return find_switch(ChatTemplate(source, bos="", eos=""), source)


@pytest.mark.parametrize(("source", "choices", "default"), [
    (QWEN, ("off", "on"), "on"),
    (DEEPSEEK, ("off", "on"), "off"),
    (EFFORT, ("low", "medium", "high"), "medium"),
    (BOTH, ("off", "low", "medium", "high"), "off"),
    (WITHOUT, ("off", "low", "high"), "low"),
    (ALWAYS, ("on",), ""),
    ("<a>", (), ""),
    ("{# enable_thinking reasoning_effort #}<a>", (), ""),
])
def test_choices(source: str, choices: tuple[str, ...], default: str) -> None:
    switch = switch_of(source)
    assert (switch.choices, switch.default) == (choices, default)


def test_choice_or_the_nearest() -> None:
    effort, qwen = switch_of(EFFORT), switch_of(QWEN)
    assert effort.variables_for("high") == {"reasoning_effort": "high"}
    assert effort.variables_for("off") == effort.variables_for("low")
    assert effort.variables_for("on") == effort.variables_for("medium")
    assert effort.variables_for("max") == effort.variables_for("high")
    assert qwen.variables_for("low") == qwen.variables_for("on") == {"enable_thinking": True}
    assert qwen.variables_for(None) == switch_of(ALWAYS).variables_for("off") == {}


def test_template_that_cannot_be_rendered() -> None:
    with pytest.raises(RequestRefusedError):
        switch_of("{% if")


def test_template_whose_switches_never_end() -> None:
    """Each rendering has its deadline; together they have one as well."""
    endless = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    started_s = time.perf_counter()
    assert switch_of("<a>{% if reasoning_effort or enable_thinking %}" + endless + "{% endif %}").choices == ()
    assert time.perf_counter() - started_s < 9.0


@pytest.mark.parametrize("name", FAMILIES)
def test_family_templates_show_every_turn(name: str) -> None:
    """In order, each with its content, and the answer begins after the last one."""
    from localai_app.engine.protocol import ChatMessage

    turns = [("system", "Rules"), ("user", "First"), ("assistant", "Second"), ("user", "Third")]
    template = ChatTemplate(FAMILIES[name].source, bos="", eos="")
    prompt = template.render([ChatMessage(role=role, content=content) for role, content in turns])
    places = [prompt.index(content) for _role, content in turns]
    assert places == sorted(places)
    assert len(template.render(PROBE)) < len(prompt)
    assert find_switch(template, FAMILIES[name].source).choices in ((), ("low", "medium", "high"))


@pytest.mark.parametrize("name", [name for name in FAMILIES if FAMILIES[name].markers])
def test_family_is_found_by_its_own_markers(name: str) -> None:
    assert family_for(FAMILIES[name].markers.__contains__, "") is FAMILIES[name]


def test_family_by_name_and_without_any_sign() -> None:
    assert family_for(lambda _text: False, "Mixtral-8x7B-Instruct").name == "mistral"
    assert family_for(lambda _text: False, "Something").name == PLAIN


@pytest.mark.parametrize(("names", "is_chat"), [
    (("Gemma 3 270m", "", "gemma-3-270m-Q4_K_M"), False), (("", "gemma-3-4b-it-Q4_K_M"), True),
    (("Qwen2.5 Instruct",), True), (("Orbit", "item"), False), (("base", "Instruct"), True)])
def test_names_of_chat_models(names: tuple[str, ...], is_chat: bool) -> None:
    assert is_chat_name(names) is is_chat
