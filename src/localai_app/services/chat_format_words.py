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
    problem = f"{chosen.problem[:1].upper()}{chosen.problem[1:].removesuffix('.')}." if chosen.problem else ""
    if chosen.template == NONE:
        return f"{problem} {BASE_MODEL}".strip()
    if not problem:
        return ""
    used = {
        OWN: "The model's own one is used instead.",
        PLAIN: "Plain lines with names are used instead; answers may be worse.",
    }.get(chosen.template, f"The one of {template_label(chosen.template)} is used instead.")
    return f"{problem} {used}"


def thinking_notice(chosen: ChatFormat, wanted: str | None) -> str:
    """Why a choice cannot be followed as it is; empty where it can."""
    if wanted is None or wanted in chosen.thinking:
        return ""
    if not chosen.thinking:
        return "" if wanted == "off" else "The template of this model has no switch for thinking."
    if chosen.thinking == ("on",):
        return "This model always thinks." if wanted == "off" else ""
    return f"This model offers thinking {', '.join(chosen.thinking)}; the nearest is used."
