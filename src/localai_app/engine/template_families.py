"""Chat templates of known model families, for model files whose own one is missing or broken.

Each is as short as it can be: turns, and where the answer begins. What a family has no place for (a system
message, tools) is put into the user's turn by the renderer. The texts follow the formats that the vendors
document on their model cards.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

PLAIN = "plain"
"""The family of last resort: role names in front of lines."""
_CHAT_NAME_WORDS = frozenset({
    "instruct", "chat", "it", "assistant", "sft", "dpo", "rlhf", "orpo", "hermes", "zephyr", "vicuna", "alpaca", "openchat",
    "thinking", "reasoning", "reasoner"})


@dataclass(frozen=True, slots=True)
class TemplateFamily:
    """One family. It is recognised by `markers`, texts that are single tokens of its vocabulary."""

    name: str
    label: str
    """For people."""
    source: str
    """Jinja."""
    markers: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    """Words in a model's name that stand for the family where its vocabulary has no markers."""
    stop: tuple[str, ...] = ()
    """Texts that end an answer, for vocabularies in which they are not the end-of-turn token."""


@dataclass(frozen=True, slots=True)
class _Turns:
    """Texts around the content of each role, and the one behind which the answer begins."""

    user: tuple[str, str]
    assistant: tuple[str, str]
    ask: str
    system: tuple[str, str] | None = None
    begin: str = ""


def _literal(text: str) -> str:
    """As a Jinja string."""
    return json.dumps(text, ensure_ascii=False)


def _source(turns: _Turns) -> str:
    lines = [f"{{{{ {_literal(turns.begin)} }}}}"] if turns.begin else []
    lines.append("{% for message in messages %}")
    keyword = "if"
    for role, texts in (("system", turns.system), ("user", turns.user), ("assistant", turns.assistant)):
        if texts is not None:
            lines.append(f"{{% {keyword} message.role == '{role}' %}}")
            lines.append(f"{{{{ {_literal(texts[0])} ~ message.content ~ {_literal(texts[1])} }}}}")
            keyword = "elif"
    lines += ["{% endif %}", "{% endfor %}", f"{{% if add_generation_prompt %}}{{{{ {_literal(turns.ask)} }}}}{{% endif %}}"]
    # A line break behind an expression is text: take it back.
    return "\n".join(lines).replace(" }}\n", " -}}\n")


def _same(head: str, tail: str, ask_role: str = "assistant", begin: str = "") -> str:
    """A family whose turns differ in nothing but the name of the role."""
    before: Callable[[str], str] = lambda role: head.format(role=role)  # noqa: E731 - read three times below
    return _source(_Turns(
        user=(before("user"), tail), assistant=(before(ask_role), tail), system=(before("system"), tail),
        ask=before(ask_role), begin=begin))


_HARMONY = """{% set effort = reasoning_effort | default('medium') %}
{{ "<|start|>system<|message|>You are ChatGPT, a large language model trained by OpenAI.\\n\\nReasoning: " ~ effort -}}
{{ "\\n\\n# Valid channels: analysis, commentary, final. Channel must be included for every message.<|end|>" -}}
{% for message in messages %}
{% if message.role == 'system' %}
{{ "<|start|>developer<|message|># Instructions\\n\\n" ~ message.content ~ "<|end|>" -}}
{% elif message.role == 'user' %}
{{ "<|start|>user<|message|>" ~ message.content ~ "<|end|>" -}}
{% elif message.role == 'assistant' %}
{{ "<|start|>assistant<|channel|>final<|message|>" ~ message.content ~ "<|end|>" -}}
{% endif %}
{% endfor %}
{% if add_generation_prompt %}{{ "<|start|>assistant" }}{% endif %}"""

_GEMMA_4 = """{% for message in messages %}
{% if message.role == 'system' or message.role == 'user' %}
{{ "<|turn>" ~ message.role ~ "\\n" ~ message.content ~ "<turn|>\\n" -}}
{% elif message.role == 'assistant' %}
{{ "<|turn>model\\n" ~ message.content ~ "<turn|>\\n" -}}
{% endif %}
{% endfor %}
{% if add_generation_prompt %}{{ "<|turn>model\\n" }}{% endif %}"""

_FAMILIES = (
    TemplateFamily("harmony", "gpt-oss (harmony)", _HARMONY, ("<|channel|>", "<|constrain|>")),
    TemplateFamily("gemma-4", "Gemma 4", _GEMMA_4, ("<|turn>", "<turn|>"), stop=("<turn|>",)),
    TemplateFamily(
        "gemma", "Gemma 1 to 3",
        _source(_Turns(
            ("<start_of_turn>user\n", "<end_of_turn>\n"), ("<start_of_turn>model\n", "<end_of_turn>\n"),
            "<start_of_turn>model\n")),
        ("<start_of_turn>", "<end_of_turn>"), stop=("<end_of_turn>",)),
    TemplateFamily(
        "llama-4", "Llama 4", _same("<|header_start|>{role}<|header_end|>\n\n", "<|eot|>"),
        ("<|header_start|>", "<|eot|>"), stop=("<|eot|>",)),
    TemplateFamily(
        "llama-3", "Llama 3", _same("<|start_header_id|>{role}<|end_header_id|>\n\n", "<|eot_id|>"),
        ("<|start_header_id|>", "<|eot_id|>"), stop=("<|eot_id|>",)),
    TemplateFamily(
        "phi-4", "Phi-4", _same("<|im_start|>{role}<|im_sep|>", "<|im_end|>"), ("<|im_start|>", "<|im_sep|>"),
        stop=("<|im_end|>",)),
    TemplateFamily(
        "chatml", "ChatML (Qwen, SmolLM, LFM2 and others)", _same("<|im_start|>{role}\n", "<|im_end|>\n"),
        ("<|im_start|>", "<|im_end|>"), stop=("<|im_end|>",)),
    TemplateFamily(
        "kimi", "Kimi",
        _source(_Turns(
            ("<|im_user|>user<|im_middle|>", "<|im_end|>"), ("<|im_assistant|>assistant<|im_middle|>", "<|im_end|>"),
            "<|im_assistant|>assistant<|im_middle|>", ("<|im_system|>system<|im_middle|>", "<|im_end|>"))),
        ("<|im_user|>", "<|im_middle|>"), stop=("<|im_end|>",)),
    TemplateFamily(
        "deepseek", "DeepSeek",
        _source(_Turns(
            ("<｜User｜>", ""), ("<｜Assistant｜>", "<｜end▁of▁sentence｜>"), "<｜Assistant｜>", ("", ""))),
        ("<｜User｜>", "<｜Assistant｜>"), stop=("<｜end▁of▁sentence｜>",)),
    TemplateFamily(
        "glm-4", "GLM-4",
        _source(_Turns(
            ("<|user|>\n", ""), ("<|assistant|>\n", ""), "<|assistant|>\n", ("<|system|>\n", ""), begin="[gMASK]<sop>")),
        ("[gMASK]", "<|user|>"), stop=("<|user|>",)),
    TemplateFamily(
        "granite", "Granite", _same("<|start_of_role|>{role}<|end_of_role|>", "<|end_of_text|>\n"),
        ("<|start_of_role|>", "<|end_of_role|>"), stop=("<|end_of_text|>",)),
    TemplateFamily(
        "command", "Command",
        _source(_Turns(
            ("<|START_OF_TURN_TOKEN|><|USER_TOKEN|>", "<|END_OF_TURN_TOKEN|>"),
            ("<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>", "<|END_OF_TURN_TOKEN|>"),
            "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>", ("<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>", "<|END_OF_TURN_TOKEN|>"))),
        ("<|START_OF_TURN_TOKEN|>", "<|CHATBOT_TOKEN|>"), stop=("<|END_OF_TURN_TOKEN|>",)),
    TemplateFamily(
        "phi-3", "Phi-3 and Phi-4-mini", _same("<|{role}|>\n", "<|end|>\n"), ("<|user|>", "<|assistant|>", "<|end|>"),
        stop=("<|end|>",)),
    TemplateFamily(
        "minimax", "MiniMax",
        _source(_Turns(
            ("]~b]user\n", "[e~[\n"), ("]~b]ai\n", "[e~[\n"), "]~b]ai\n", ("]~b]system\n", "[e~[\n"), begin="]~!b[")),
        ("]~b]", "[e~["), stop=("[e~[",)),
    TemplateFamily(
        "mistral-7", "Mistral (2024-11 and later)",
        _source(_Turns(
            ("[INST]", "[/INST]"), ("", "</s>"), "", ("[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"))),
        ("[INST]", "[SYSTEM_PROMPT]"), stop=("</s>",)),
    TemplateFamily(
        "mistral", "Mistral and Llama 2",
        _source(_Turns(("[INST] ", " [/INST]"), (" ", "</s>"), "")),
        ("[INST]", "[/INST]"), names=("mistral", "mixtral", "llama-2", "llama2"), stop=("</s>",)),
    TemplateFamily(
        PLAIN, "Plain lines with names",
        _source(_Turns(("User: ", "\n\n"), ("Assistant: ", "\n\n"), "Assistant:", ("", "\n\n"))),
        stop=("\nUser:", "\nAssistant:")),
)

FAMILIES: Mapping[str, TemplateFamily] = {family.name: family for family in _FAMILIES}
"""In the order in which they are looked for: a family whose markers include another one's comes first."""


def family_for(tokens: Callable[[str], bool], name: str) -> TemplateFamily:
    """The family of a model; PLAIN where it is none of the others.

    `tokens` says whether a text is a single token of the vocabulary, `name` is what the model calls itself.
    """
    lowered = name.lower()
    for family in _FAMILIES:
        if family.markers and all(tokens(marker) for marker in family.markers):
            return family
    for family in _FAMILIES:
        if any(word in lowered for word in family.names):
            return family
    return FAMILIES[PLAIN]


def is_chat_name(names: Collection[str]) -> bool:
    """Whether a model's names (its title, its file's, what it was fine-tuned for) say that it was made to chat."""
    words: set[str] = set()
    for name in names:
        words.update("".join(letter if letter.isalnum() else " " for letter in name.lower()).split())
    return bool(words & _CHAT_NAME_WORDS)
