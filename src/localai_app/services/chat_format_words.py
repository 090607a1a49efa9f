"""Which chat template a model uses and what it allows, in words."""

from __future__ import annotations

from localai_app.engine.protocol import ChatFormat
from localai_app.engine.template_families import FAMILIES, PLAIN

OWN, CUSTOM, NONE = "own", "custom", "none"
BASE_MODEL = "This is a base model: it continues text and does not chat."
THINKING_LABELS = {"off": "Off", "on": "On", "low": "Low", "medium": "Medium", "high": "High", "max": "Most"}


def template_label(name: str) -> str:
    """A template as it is called in lists: by its family, or as the model's own or the user's."""
    if name in FAMILIES:
        return FAMILIES[name].label
    return {CUSTOM: "Your own text", NONE: "None: continue the text"}.get(name, "The model's own")


def template_kind(wanted: str) -> str:
    """What kind of choice a `LoadOptions.chat_template` is: own, custom, or the name of a family."""
    if not wanted.strip():
        return OWN
    return wanted if wanted in FAMILIES else CUSTOM


def template_notice(chosen: ChatFormat) -> str:
    """One or two sentences where the template in use is not the model's own or not the wanted one; else empty."""
    if chosen.template == NONE:
        return BASE_MODEL + (f" Of the chat template that you chose: {chosen.problem}." if chosen.problem else "")
    if not chosen.problem:
        return ""
    used = {OWN: "the model's own one", CUSTOM: "your own text", PLAIN: "plain lines with names"}.get(
        chosen.template, f"the one of {template_label(chosen.template)}")
    words = f"Of the chat template: {chosen.problem}, so {used} is used."
    return f"{words} Answers may be worse." if chosen.template == PLAIN else words


def thinking_notice(chosen: ChatFormat, wanted: str | None) -> str:
    """Why a choice cannot be followed as it is; empty where it can."""
    if wanted is None or wanted in chosen.thinking:
        return ""
    if not chosen.thinking:
        return "" if wanted == "off" else "The template of this model has no switch for thinking."
    if chosen.thinking == ("on",):
        return "This model always thinks." if wanted == "off" else ""
    return f"This model offers thinking {', '.join(chosen.thinking)}; the nearest is used."
