"""A prompt and a set of them."""

from __future__ import annotations

import msgspec

from localai_app.compare.checks import Check


class Prompt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One question to every contestant. An answer is right where it passes all of its checks."""

    text: str
    tag: str = ""
    """What it is about (reasoning, coding, ...): leaderboards are told apart by it."""
    checks: tuple[Check, ...] = ()
    system_prompt: str | None = None
    """None: as the contestant or the comparison has it."""


class PromptSet(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Prompts under a name; built in, or the user's own."""

    name: str
    prompts: tuple[Prompt, ...]
    description: str = ""
    is_built_in: bool = False
