"""The texts between which models think."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TagPair:
    """Thinking stands between `opening` and `closing`."""

    opening: str
    closing: str


THINK = TagPair("<think>", "</think>")
"""Qwen, DeepSeek, GLM, Nemotron, SmolLM3, Phi-4-reasoning, MiniMax."""
TAG_PAIRS = (
    THINK,
    TagPair("[THINK]", "[/THINK]"),
    TagPair("<|channel>thought", "<channel|>"),
    TagPair("<|START_THINKING|>", "<|END_THINKING|>"),
    TagPair("<seed:think>", "</seed:think>"),
    TagPair("<mm:think>", "</mm:think>"),
)
"""Also Mistral, Gemma 4, Command, Seed and MiniMax-M3."""


def opening_at_end(prompt: str) -> TagPair | None:
    """The pair whose opening tag ends a prompt: the answer then begins with thinking."""
    stripped = prompt.rstrip()
    return next((pair for pair in TAG_PAIRS if stripped.endswith(pair.opening)), None)
