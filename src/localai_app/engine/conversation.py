"""The turns of a conversation, what of it goes to the model, and how an answer went: counts, times and why it ended."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Channel(StrEnum):
    """What a piece of a model's text is."""

    ANSWER = "answer"
    THINKING = "thinking"
    TOOL = "tool"
    """A call of a tool as the model writes it; typed in `Finished.tool_calls`."""


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """A model asks for a tool. Nothing here ever runs one."""

    name: str
    arguments_json: str
    """A JSON object."""
    id: str = ""
    problem: str = ""
    """Why it could not be read, in words; then `raw` is all there is."""
    raw: str = ""
    """The model's own text."""


class ChatMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One turn of a conversation; `role` is system, user, assistant or tool."""

    role: str
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    """What an assistant asked for."""
    tool_call_id: str = ""
    """Of the call that a tool's message answers."""
    name: str = ""
    """Of the tool that speaks."""


class ChatFormat(msgspec.Struct, frozen=True, kw_only=True):
    """What the chat template of a loaded model is and allows."""

    template: str = "own"
    """own (the one in the file), custom (the user's text), none (a base model), or a family of `template_families`."""
    problem: str = ""
    """Why the wanted template is not the one in use, as a sentence without its end; empty where it is."""
    thinking: tuple[str, ...] = ()
    """What can be chosen: empty without thinking, (on) where it always thinks, (off, on), (low, medium, high), ..."""
    default_thinking: str = ""
    """What the template does by itself, one of `thinking`."""
    tools: bool = False
    """Whether the template tells the model about tools."""


class Overflow(StrEnum):
    """What happens to a conversation that is longer than the context."""

    STOP = "stop"
    """It is not answered."""
    DROP_OLDEST = "drop_oldest"
    """The oldest turns are left out."""
    CUT_MIDDLE = "cut_middle"
    """The first turn and the newest ones stay; of messages that are too long, the beginning and the end."""


class Shortened(msgspec.Struct, frozen=True, kw_only=True):
    """A message of which only the beginning and the end were sent."""

    index: int
    """Its place in the conversation; the number of messages stands for the beginning of the answer."""
    kept_chars: int


class HistoryCut(msgspec.Struct, frozen=True, kw_only=True):
    """What of a conversation was not sent to the model, by the places of its messages in the request."""

    left_out: tuple[int, ...] = ()
    shortened: tuple[Shortened, ...] = ()

    def __bool__(self) -> bool:
        """Whether anything was not sent."""
        return bool(self.left_out or self.shortened)


class TokenLogprob(msgspec.Struct, frozen=True, kw_only=True):
    """A token of an answer with its log-probability (natural logarithm), before any sampler changed it."""

    text: str
    logprob: float
    alternatives: tuple[tuple[str, float], ...] = ()
    """The likeliest tokens of this place in order, the chosen one included where it is among them."""


class FinishReason(StrEnum):
    """Why an answer ended."""

    STOP = "stop"
    """The model said that it is done, or a stop string came."""
    LENGTH = "length"
    """`max_tokens` reached."""
    CONTEXT = "context"
    """The context is full."""
    CANCELLED = "cancelled"


class GenerationStats(msgspec.Struct, frozen=True, kw_only=True):
    """Counts and times of one answer, so far or final; speeds are derived."""

    prompt_tokens: int = 0
    """Whole prompt, reused part included."""
    reused_tokens: int = 0
    """Part of the prompt that was still in the KV cache."""
    completion_tokens: int = 0
    prompt_s: float = 0.0
    """Time to evaluate the part that was not reused."""
    completion_s: float = 0.0
    """From the first to the last generated token."""
    ttft_s: float = 0.0
    """From the request's arrival in the worker to the first token."""
    context_used: int = 0
    context_total: int = 0
    drafted_tokens: int = 0
    """Tokens that were drafted and verified; part of no other count."""
    accepted_tokens: int = 0
    """Those of them that were right, and so part of the answer."""
    draft_gain: float = 0.0
    """Measured in this answer: seconds that the verified tokens would have taken one by one, by those they took; 0.0: not
    measured."""
    thinking_s: float = 0.0
    """How long the model thought, or thinks so far; 0.0 without thinking."""

    @property
    def prompt_tps(self) -> float:
        """Prompt processing in tokens per second; 0.0 while unknown."""
        evaluated = self.prompt_tokens - self.reused_tokens
        return evaluated / self.prompt_s if self.prompt_s > 0 else 0.0

    @property
    def tps(self) -> float:
        """Generation in tokens per second; the first token counts to the prompt. 0.0 while unknown."""
        return (self.completion_tokens - 1) / self.completion_s if self.completion_s > 0 and self.completion_tokens > 1 else 0.0
