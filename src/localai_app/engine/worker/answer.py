"""The loop that makes one answer: the same for every back end, so that tests with `echo` exercise the real one."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from localai_app.engine.protocol import (
    Channel,
    Event,
    Finished,
    FinishReason,
    GenerationStats,
    PromptProgressed,
    Sampling,
    TextGenerated,
    TokenLogprob,
)
from localai_app.engine.reading.answer_parser import Piece
from localai_app.engine.reading.answer_shape import Reading
from localai_app.engine.worker.detokenize import TextAssembler
from localai_app.engine.worker.stop_flag import StopFlags
from localai_app.engine.worker.stop_strings import StopStringFilter


class AnswerAbortedError(Exception):
    """The evaluation was cut short because the running request was asked to stop."""


@dataclass(slots=True)
class DraftCounts:
    """What was drafted in an answer, and what it gained; see GenerationStats."""

    drafted_tokens: int = 0
    accepted_tokens: int = 0
    gain: float = 0.0


class Sender(Protocol):
    """Takes the events of an answer."""

    def send(self, event: Event) -> None:
        """Pass one event on."""


class AnswerSource(Protocol):
    """One prepared answer of a back end: its prompt is known, nothing is evaluated yet."""

    prompt_tokens: int
    reused_tokens: int
    context_total: int
    drafts: DraftCounts
    reading: Reading
    """How its text is read."""

    def evaluate_prompt_part(self) -> int:
        """Evaluate the next part of the prompt; how many of its tokens are done now, reused ones included."""

    def next_piece(self) -> bytes | None:
        """The bytes of the next token, empty if it is not shown; None when the model is done."""

    def take_logprobs(self) -> tuple[TokenLogprob, ...]:
        """The log-probabilities of the tokens since the last call; empty where they were not asked for."""

    def close(self, shown_text: str) -> None:
        """The answer is over; `shown_text` is what the user saw of it."""


@dataclass(slots=True)
class _Clock:
    arrived_s: float
    prompt_started_s: float = 0.0
    prompt_s: float = 0.0
    first_token_s: float = 0.0
    last_token_s: float = 0.0
    thinking_since_s: float = 0.0
    """0.0 while the model does not think."""
    thinking_s: float = 0.0


class AnswerLoop:
    """Runs one AnswerSource to its end and reports text, counts and times."""

    def __init__(self, request_id: int, source: AnswerSource, sampling: Sampling, sender: Sender, flags: StopFlags) -> None:
        self._id = request_id
        self._source = source
        self._max_tokens = sampling.max_tokens
        self._wants_logprobs = sampling.logprobs is not None
        self._sender = sender
        self._flags = flags
        self._assembler = TextAssembler()
        self._parser = source.reading.parser
        self._filter = StopStringFilter((*sampling.stop, *source.reading.stop))
        self._shown: list[str] = []
        self._generated = 0
        self._clock = _Clock(arrived_s=time.perf_counter())

    def run(self, arrived_s: float) -> None:
        """Evaluate the prompt, generate, finish. `arrived_s` is the `time.perf_counter` of the request's arrival."""
        self._clock.arrived_s = arrived_s
        try:
            reason = FinishReason.CANCELLED
            try:
                if self._evaluate_prompt():
                    reason = self._generate()
            except AnswerAbortedError:
                pass
            if not self._filter.has_matched:
                self._show(self._filter.flush())
            self._send(self._parser.finish())
            self._sender.send(
                Finished(id=self._id, reason=reason, stats=self._stats(), tool_calls=self._parser.tool_calls))
        finally:
            self._source.close("".join(self._shown))

    def _evaluate_prompt(self) -> bool:
        source, clock = self._source, self._clock
        total = source.prompt_tokens
        clock.prompt_started_s = time.perf_counter()
        done = source.reused_tokens
        self._sender.send(PromptProgressed(id=self._id, done=done, total=total))
        while done < total:
            if self._flags.is_set:
                return False
            done = source.evaluate_prompt_part()
            self._sender.send(PromptProgressed(id=self._id, done=done, total=total))
        return not self._flags.is_set

    def _generate(self) -> FinishReason:
        source, clock, flags = self._source, self._clock, self._flags
        while True:
            if self._max_tokens is not None and self._generated >= self._max_tokens:
                return FinishReason.LENGTH
            if source.prompt_tokens + self._generated >= source.context_total:
                return FinishReason.CONTEXT
            if flags.is_set:
                return FinishReason.CANCELLED
            piece = source.next_piece()
            now_s = time.perf_counter()
            if not clock.first_token_s:
                clock.first_token_s = now_s
                clock.prompt_s = now_s - clock.prompt_started_s
            if piece is None:
                return FinishReason.STOP
            clock.last_token_s = now_s
            self._generated += 1
            self._show(self._filter.feed(self._assembler.feed(piece)))
            if self._filter.has_matched:
                return FinishReason.STOP

    def _show(self, text: str) -> None:
        if text:
            self._shown.append(text)
            self._send(self._parser.feed(text))

    def _send(self, pieces: Sequence[Piece]) -> None:
        for piece in pieces:
            self._time_thinking(piece)
            logprobs = self._source.take_logprobs() if self._wants_logprobs else ()
            self._sender.send(
                TextGenerated(
                    id=self._id, text=piece.text, stats=self._stats(), channel=piece.channel, takes_back=piece.takes_back,
                    logprobs=logprobs))
        if self._clock.thinking_since_s and not self._parser.is_thinking:
            self._end_thinking()

    def _time_thinking(self, piece: Piece) -> None:
        clock = self._clock
        if piece.takes_back:
            clock.thinking_s, clock.thinking_since_s = 0.0, clock.first_token_s
        elif piece.channel is Channel.THINKING and not clock.thinking_since_s:
            clock.thinking_since_s = clock.last_token_s if clock.thinking_s else clock.first_token_s
        elif piece.channel is not Channel.THINKING and clock.thinking_since_s:
            self._end_thinking()

    def _end_thinking(self) -> None:
        clock = self._clock
        clock.thinking_s += clock.last_token_s - clock.thinking_since_s
        clock.thinking_since_s = 0.0

    def _stats(self) -> GenerationStats:
        source, clock = self._source, self._clock
        return GenerationStats(
            prompt_tokens=source.prompt_tokens,
            reused_tokens=source.reused_tokens,
            completion_tokens=self._generated,
            prompt_s=clock.prompt_s,
            completion_s=max(0.0, clock.last_token_s - clock.first_token_s) if self._generated else 0.0,
            ttft_s=clock.first_token_s - clock.arrived_s if clock.first_token_s else 0.0,
            context_used=source.prompt_tokens + self._generated,
            context_total=source.context_total,
            drafted_tokens=source.drafts.drafted_tokens,
            accepted_tokens=source.drafts.accepted_tokens,
            draft_gain=source.drafts.gain,
            thinking_s=clock.thinking_s + (clock.last_token_s - clock.thinking_since_s if clock.thinking_since_s else 0.0),
        )
