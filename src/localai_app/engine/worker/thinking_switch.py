"""What a chat template lets one choose about thinking, found out by rendering it with and without its switches."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from localai_app.engine.failure import RequestRefusedError
from localai_app.engine.protocol import ChatMessage
from localai_app.engine.reading.thinking_tags import opening_at_end
from localai_app.errors import TEMPLATE_FAILED

PROBE = (ChatMessage(role="user", content="Hi"),)
SWITCHES = ("enable_thinking", "thinking")
"""Variables that templates ask for: Qwen, GLM, Gemma, Nemotron, SmolLM; DeepSeek, Granite."""
LEVELS_VARIABLE = "reasoning_effort"
LEVELS = ("low", "medium", "high", "max")
COMMON_LEVELS = LEVELS[:3]
NO_LEVEL = ("none", "no_think")
OFF, ON = "off", "on"
PATIENCE_S = 4.0
"""Real templates take some milliseconds for each of about ten renderings."""
_HARMONY_MARK = "<|channel|>analysis"


class Renders(Protocol):
    """A chat template."""

    def render(self, messages: Sequence[ChatMessage], *, variables: Mapping[str, object] | None = None) -> str:
        """The prompt."""


@dataclass(frozen=True, slots=True)
class ThinkingSwitch:
    """What can be chosen, and the template's variables for each choice. `default`: what it does by itself."""

    variables: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    default: str = ""
    is_always: bool = False

    @property
    def choices(self) -> tuple[str, ...]:
        """Empty where there is no thinking, or none that the template tells of; (on,) where it always thinks."""
        return tuple(self.variables) or ((ON,) if self.is_always else ())

    def variables_for(self, choice: str | None) -> Mapping[str, object]:
        """The variables of a choice, or of the nearest one that there is; empty for None."""
        if choice is None or not self.variables:
            return {}
        return self.variables[self._nearest(choice)]

    def _nearest(self, choice: str) -> str:
        names = list(self.variables)
        if choice in names:
            return choice
        thinks = [name for name in names if name != OFF]
        if choice == OFF or not thinks:
            return names[0]
        if choice == ON:
            return self.default if self.default in thinks else thinks[len(thinks) // 2]
        if choice in LEVELS:
            return min(thinks, key=lambda name: abs(_rank(name) - _rank(choice)))
        return self.default or names[0]


def find_switch(template: Renders, source: str) -> ThinkingSwitch:
    """Render the template with each of its switches. RequestRefusedError where it cannot even be rendered without."""
    plain = template.render(PROBE)
    template = _Patient(template)
    switched = {name: _rendered(template, {name: True}) for name in SWITCHES if name in source}
    on_off = {
        name: (on, off) for name, on in switched.items()
        if on is not None and (off := _rendered(template, {name: False})) is not None and on != off}
    levels = _levels(template, source, {name: True for name in on_off}) if LEVELS_VARIABLE in source else {}
    choices: dict[str, Mapping[str, object]] = dict(levels)
    if on_off:
        choices[OFF] = {name: False for name in on_off}
        if not levels:
            choices[ON] = {name: True for name in on_off}
    ordered = {name: choices[name] for name in (OFF, ON, *LEVELS) if name in choices}
    default = next(
        (name for name, variables in ordered.items() if _rendered(template, variables) == plain), "") if ordered else ""
    is_always = not ordered and (opening_at_end(plain) is not None or _HARMONY_MARK in source)
    return ThinkingSwitch(ordered, default, is_always)


class _Patient:
    """A template that is given up once all its renderings together took too long."""

    def __init__(self, template: Renders) -> None:
        self._template = template
        self._end_s = time.monotonic() + PATIENCE_S

    def render(self, messages: Sequence[ChatMessage], *, variables: Mapping[str, object] | None = None) -> str:
        """The prompt; RequestRefusedError when the time is over."""
        if time.monotonic() >= self._end_s:
            raise RequestRefusedError(TEMPLATE_FAILED, reason="trying its switches takes too long")
        return self._template.render(messages, variables=variables)


def _levels(template: Renders, source: str, others: Mapping[str, object]) -> dict[str, Mapping[str, object]]:
    """The levels that make a difference, each with its variables; empty where fewer than two do.

    Some templates put any word into the prompt: what is no common level has to stand in the template itself.
    """
    values = [*(() if others else ((OFF, value) for value in NO_LEVEL)), *((level, level) for level in LEVELS)]
    found: dict[str, Mapping[str, object]] = {}
    prompts: list[str] = []
    for name, value in values:
        if value not in COMMON_LEVELS and f"'{value}'" not in source and f'"{value}"' not in source:
            continue
        variables = {**others, LEVELS_VARIABLE: value}
        prompt = _rendered(template, variables)
        if name not in found and prompt is not None and prompt not in prompts:
            prompts.append(prompt)
            found[name] = variables
    return found if len(found) > 1 else {}


def _rendered(template: Renders, variables: Mapping[str, object]) -> str | None:
    try:
        return template.render(PROBE, variables=variables)
    except RequestRefusedError:
        return None


def _rank(choice: str) -> int:
    return LEVELS.index(choice) if choice in LEVELS else 1
