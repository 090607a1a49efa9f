"""Which chat template a loaded model uses: its own, the user's, or one of its family where the file has none that works."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from localai_app.engine.failure import RequestRefusedError
from localai_app.engine.protocol import ChatFormat, RenderTemplate, TemplateRendered
from localai_app.engine.reading.answer_shape import AnswerShape, shape_of
from localai_app.engine.template_families import FAMILIES, TemplateFamily, family_for, is_chat_name
from localai_app.engine.worker.template import ChatTemplate
from localai_app.engine.worker.thinking_switch import ThinkingSwitch, find_switch

MISSING = "the model file has no chat template"


@dataclass(frozen=True, slots=True)
class TemplateFacts:
    """What a model file says that decides about its template."""

    own: str
    """The one in the file; empty where there is none."""
    bos: str
    eos: str
    names: tuple[str, ...]
    """Title, file name, what it was fine-tuned for."""
    is_token: Callable[[str], bool]
    """Whether a text is a single token of the vocabulary."""


@dataclass(frozen=True, slots=True)
class ChosenTemplate:
    """The template in use. `template` None: a base model, which only continues texts."""

    format: ChatFormat
    template: ChatTemplate | None = None
    switch: ThinkingSwitch = field(default_factory=ThinkingSwitch)
    shape: AnswerShape = field(default_factory=AnswerShape)
    stop: tuple[str, ...] = ()
    """Texts that end an answer beside the model's own end tokens."""


def choose_template(wanted: str, facts: TemplateFacts) -> ChosenTemplate:
    """The wanted template (see `LoadOptions.chat_template`), or the next best that can be rendered."""
    problem = ""
    if wanted in FAMILIES:
        return _of_family(FAMILIES[wanted], facts, "")
    if wanted.strip():
        try:
            return _rendered("custom", wanted, facts, "")
        except RequestRefusedError as refused:
            problem = f"your chat template cannot be used: {_reason(refused)}"
    if facts.own:
        try:
            return _rendered("own", facts.own, facts, problem)
        except RequestRefusedError as refused:
            broken = f"the model's own chat template cannot be used: {_reason(refused)}"
            return _of_family(_family(facts), facts, problem or broken)
    if is_chat_name(facts.names):
        return _of_family(_family(facts), facts, problem or MISSING)
    return ChosenTemplate(ChatFormat(template="none", problem=problem))


def tried_template(command: RenderTemplate) -> TemplateRendered:
    """What a template makes of a conversation; RequestRefusedError TEMPLATE_FAILED where it makes nothing."""
    template = ChatTemplate(command.source, bos=command.bos, eos=command.eos)
    prompt = template.render(command.messages)
    return TemplateRendered(
        id=command.id, prompt=prompt, thinking=find_switch(template, command.source).choices, tools=template.knows_tools())


def _family(facts: TemplateFacts) -> TemplateFamily:
    return family_for(facts.is_token, " ".join(facts.names))


def _of_family(family: TemplateFamily, facts: TemplateFacts, problem: str) -> ChosenTemplate:
    return _rendered(family.name, family.source, facts, problem, family.stop)


def _rendered(
    name: str, source: str, facts: TemplateFacts, problem: str, stop: tuple[str, ...] = (),
) -> ChosenTemplate:
    """A template that has been tried out; RequestRefusedError where it cannot be rendered."""
    template = ChatTemplate(source, bos=facts.bos, eos=facts.eos)
    switch = find_switch(template, source)
    chosen = ChatFormat(
        template=name, problem=problem, thinking=switch.choices, default_thinking=switch.default, tools=template.knows_tools())
    return ChosenTemplate(chosen, template, switch, shape_of(source, facts.is_token), stop)


def _reason(refused: RequestRefusedError) -> str:
    return refused.fields.get("reason", "")
