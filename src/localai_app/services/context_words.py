"""What is said about a conversation that is longer than its context: before it is sent, and of its answer."""

from __future__ import annotations

from localai_app.engine.protocol import HistoryCut, Overflow, TokensCounted
from localai_app.store.records import AnswerCut
from localai_app.units import format_count


def warning_before_sending(counted: TokensCounted, n_left_out: int, policy: Overflow) -> str:
    """What the policy will do with a message that is sent now; empty where all of the chat is sent.

    `n_left_out`: messages of the chat, as people count them.
    """
    is_longer = counted.prompt_tokens >= counted.context_total
    longer = (
        f"The conversation {'is longer than the context' if is_longer else 'leaves too little of the context for an answer'} "
        f"({format_count(counted.prompt_tokens)} of {format_count(counted.context_total)} tokens)")
    if counted.sent_tokens is None:
        return f"{longer}: it will not be answered."
    if n_left_out and counted.cut.shortened:
        return f"{longer}: {_messages(n_left_out)} in the middle will be left out and long ones shortened."
    if counted.cut.shortened:
        return f"{longer}: the middle of {_long(len(counted.cut.shortened))} will be left out."
    if n_left_out:
        return f"{longer}: {_which(n_left_out, policy)} will be left out."
    return ""


def cut_notice(cut: HistoryCut, policy: Overflow) -> str:
    """What an answer that begins now is given without, in a sentence."""
    parts = []
    if cut.left_out:
        verb = "is" if len(cut.left_out) == 1 else "are"
        parts.append(f"{_which(len(cut.left_out), policy)} {verb} left out")
    if cut.shortened:
        parts.append(f"the middle of {_long(len(cut.shortened))} is left out")
    return f"The conversation and its answer do not fit into the context: {', and '.join(parts)}."


def summary(cut: AnswerCut) -> str:
    """What an answer was given without, in a few words."""
    if cut.left_out:
        return f"{_messages(len(cut.left_out))} not sent"
    return f"{_messages(len(cut.shortened))} shortened"


def explanation(cut: AnswerCut) -> str:
    """What an answer was given without, in a sentence."""
    if cut.left_out and cut.shortened:
        return (
            f"The context was full: {_messages(len(cut.left_out))} were not sent with this answer, and long ones without "
            "their middle.")
    if cut.left_out:
        verb = "was" if len(cut.left_out) == 1 else "were"
        return f"The context was full: {_messages(len(cut.left_out))} of this chat {verb} not sent with this answer."
    return f"The context was full: the middle of {_long(len(cut.shortened))} was not sent with this answer."


def _which(n_left_out: int, policy: Overflow) -> str:
    if policy is Overflow.CUT_MIDDLE:
        return f"{_messages(n_left_out)} in the middle"
    return "the oldest message" if n_left_out == 1 else f"the {n_left_out} oldest messages"


def _messages(count: int) -> str:
    return "1 message" if count == 1 else f"{format_count(count)} messages"


def _long(count: int) -> str:
    return "a long message" if count == 1 else f"{format_count(count)} long messages"
