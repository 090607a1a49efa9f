"""A back end without a model: streams known Markdown at a set pace, for tests of everything around a model.

It speaks the whole protocol through the same answer loop as llama.cpp: prompt progress, prefix reuse, stop,
stop strings, seeds, a context that fills up. Characters outside ASCII are split across tokens on purpose.
"""

from __future__ import annotations

import itertools
import random
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from localai_app.engine.failure import RequestRefusedError
from localai_app.engine.protocol import (
    Chat,
    ChatMessage,
    Device,
    Loaded,
    LoadOptions,
    LossScored,
    Planned,
    Quantize,
    Quantized,
    Sampling,
    ScoreLoss,
    SelfTested,
    TokenLogprob,
)
from localai_app.engine.reading.answer_shape import AnswerShape, Reading
from localai_app.engine.worker.answer import AnswerAbortedError, DraftCounts, Sender
from localai_app.engine.worker.echo_text import SAMPLE_SECTIONS
from localai_app.engine.worker.faults import FaultPlan
from localai_app.engine.worker.stop_flag import StopFlags
from localai_app.engine.worker.transcript import common_prefix_length
from localai_app.errors import MODEL_LOAD_FAILED, PROMPT_TOO_LONG
from localai_app.units import format_count

_DEFAULT_CTX = 8192
"""Until a load says otherwise: the echo can answer without a model."""
_LOAD_STEPS = 20
_PART_TOKENS = 512
_WAIT_S = 0.005


@dataclass(frozen=True, slots=True)
class EchoPace:
    """How fast and how long the echo answers; 0 tokens per second is as fast as possible, 0 tokens one pass over the text."""

    tokens: int = 0
    tokens_per_s: float = 0.0
    prompt_tokens_per_s: float = 0.0
    load_s: float = 0.0
    repeats_prompt: bool = False


class EchoBackend:
    """Answers with the prompt or with a sample text. Model files are not looked at."""

    name = "echo"

    def __init__(self, pace: EchoPace, faults: FaultPlan, stop_flags: StopFlags) -> None:
        self._pace = pace
        self._faults = faults
        self._stop_flags = stop_flags
        self._ctx = _DEFAULT_CTX
        self._starts_empty = False
        self._cached: list[int] = []
        if faults.place == "start":
            faults.reach("start")

    def engine_build(self) -> str:
        """The echo has no version of its own."""
        return "echo (no model)"

    def supports_gpu_offload(self) -> bool:
        """The echo computes nothing."""
        return False

    def load(self, request_id: int, options: LoadOptions, on_progress: Callable[[float], None]) -> Loaded:
        """Take the time that a load was said to take."""
        started_s = time.perf_counter()
        self._faults.reach("load")
        for step in range(1, _LOAD_STEPS + 1):
            time.sleep(self._pace.load_s / _LOAD_STEPS)
            on_progress(step / _LOAD_STEPS)
        self._ctx = options.ctx
        self._starts_empty = options.starts_empty
        self._cached = []
        return Loaded(
            id=request_id,
            description="echo",
            ctx=options.ctx,
            ctx_train=options.ctx,
            n_layer=1,
            gpu_layers=0,
            threads=options.threads or 1,
            model_bytes=0,
            load_s=time.perf_counter() - started_s,
            has_chat_template=True,
        )

    def prepare_chat(self, request: Chat) -> EchoAnswer:
        """An answer to the last message; of one that was begun already, the rest."""
        messages = request.messages
        reading = AnswerShape().reading("", request)
        question = messages[-1].content if messages else ""
        answer = self._prepare(chat_prompt(messages) + reading.resumed, question, request.sampling, reading.resumed)
        answer.reading = reading
        return answer

    def count_tokens(self, chat: Chat) -> int:
        """The length of a conversation in tokens of the echo."""
        return len(split_pieces(chat_prompt(chat.messages) + AnswerShape().reading("", chat).resumed))

    def context_total(self) -> int:
        """As the last load asked for."""
        return self._ctx

    def prepare_completion(self, prompt: str, sampling: Sampling) -> EchoAnswer:
        """A continuation that takes no notice of the text before it."""
        return self._prepare(prompt, prompt, sampling)

    def prepare_benchmark(self, threads: int) -> EchoBenchmark:
        """As fast as the echo was told to be."""
        return EchoBenchmark(self._pace, self._faults, self._stop_flags, self._ctx, threads or 1)

    def save_state(self, conversation: str, path: str) -> tuple[int, int]:  # noqa: ARG002 - as in the protocol
        """Nothing: the echo evaluates nothing that would be worth it."""
        return 0, 0

    def restore_state(self, conversation: str, path: str) -> int:  # noqa: ARG002 - as in the protocol
        """Nothing, as above."""
        return 0

    def prepare_tuning(self) -> EchoTuning:
        """A target that takes the time of the pace whatever it is told."""
        return EchoTuning(self._pace, self._stop_flags)

    def plan(self, request_id: int, header_path: str, options: LoadOptions) -> Planned:  # noqa: ARG002 - as in the protocol
        """Refused: the echo allocates nothing."""
        raise RequestRefusedError(MODEL_LOAD_FAILED, name=Path(header_path).name, reason="the echo has no memory to plan")

    def self_test(self, request_id: int, model_path: str, *, on_gpu: bool) -> SelfTested:  # noqa: ARG002 - as in the protocol
        """Refused: the echo computes nothing."""
        raise RequestRefusedError(MODEL_LOAD_FAILED, name=Path(model_path).name, reason="the echo computes nothing")

    def work_on_files(
        self, command: ScoreLoss | Quantize, sender: Sender,  # noqa: ARG002 - as in the protocol
    ) -> LossScored | Quantized:
        """Refused: the echo computes nothing."""
        path = command.source_path if isinstance(command, Quantize) else command.variant.model_path
        raise RequestRefusedError(MODEL_LOAD_FAILED, name=Path(path).name, reason="the echo computes nothing")

    def devices(self) -> tuple[Device, ...]:
        """None: the echo computes nothing."""
        return ()

    def _prepare(self, prompt: str, question: str, sampling: Sampling, prefill: str = "") -> EchoAnswer:
        tokens = [hash(piece) for piece in split_pieces(prompt)] or [0]
        if len(tokens) >= self._ctx:
            raise RequestRefusedError(PROMPT_TOO_LONG, needed=format_count(len(tokens)), context=format_count(self._ctx))
        if self._starts_empty:
            self._cached = []
        reused = min(common_prefix_length(self._cached, tokens), len(tokens) - 1)
        self._cached = tokens
        text = question if self._pace.repeats_prompt else sample_text(sampling)
        text = text.removeprefix(prefill)
        return EchoAnswer(self._pace, self._faults, self._stop_flags, (len(tokens), reused, self._ctx), text)


class EchoAnswer:
    """An AnswerSource over a known text. `counts` are prompt tokens, reused tokens and the context."""

    def __init__(
        self, pace: EchoPace, faults: FaultPlan, stop_flags: StopFlags, counts: tuple[int, int, int], text: str
    ) -> None:
        self.prompt_tokens, self.reused_tokens, self.context_total = counts
        self.drafts = DraftCounts()
        self.reading = Reading()
        self._pace = pace
        self._faults = faults
        self._stop_flags = stop_flags
        self._done = self.reused_tokens
        self._generated = 0
        self._started_s = 0.0
        pieces = split_pieces(text)
        self._pieces: Iterator[bytes] = iter(pieces)
        if pace.tokens and pieces:
            self._pieces = itertools.islice(itertools.cycle(pieces), pace.tokens)

    def evaluate_prompt_part(self) -> int:
        """Let the time of one part of the prompt pass."""
        self._faults.reach("prompt")
        part = min(_PART_TOKENS, self.prompt_tokens - self._done)
        if self._pace.prompt_tokens_per_s:
            _wait_until(time.perf_counter() + part / self._pace.prompt_tokens_per_s, self._stop_flags)
        self._done += part
        return self._done

    def next_piece(self) -> bytes | None:
        """The next piece of the text when its time has come."""
        self._faults.reach(self._generated)
        if not self._started_s:
            self._started_s = time.perf_counter()
        if self._pace.tokens_per_s:
            _wait_until(self._started_s + self._generated / self._pace.tokens_per_s, self._stop_flags)
        self._generated += 1
        return next(self._pieces, None)

    def take_logprobs(self) -> tuple[TokenLogprob, ...]:
        """None: the echo has no probabilities."""
        return ()

    def close(self, shown_text: str) -> None:
        """Nothing to give back."""


class EchoTuning:
    """A TuningTarget that takes the time of the echo's pace."""

    def __init__(self, pace: EchoPace, stop_flags: StopFlags) -> None:
        self._pace = pace
        self._stop_flags = stop_flags

    def open(self, ubatch: int) -> bool:  # noqa: ARG002 - as in the protocol
        """There is always room."""
        return True

    def set_threads(self, threads: int) -> None:
        """The echo computes nothing."""

    def evaluate(self, count: int) -> None:
        """Let the time of these tokens pass."""
        tps = self._pace.tokens_per_s if count == 1 else self._pace.prompt_tokens_per_s
        if tps:
            _wait_until(time.perf_counter() + count / tps, self._stop_flags)

    def use(self, threads: int, prompt_threads: int) -> None:
        """The echo computes nothing."""

    def close(self) -> None:
        """Nothing to give back."""


class EchoBenchmark:
    """A BenchmarkTarget that takes the time of the echo's pace; its cache can be cut anywhere."""

    part_tokens = _PART_TOKENS

    def __init__(self, pace: EchoPace, faults: FaultPlan, stop_flags: StopFlags, ctx: int, threads: int) -> None:
        self.ctx = ctx
        self.threads = threads
        self._pace = pace
        self._faults = faults
        self._stop_flags = stop_flags

    def __enter__(self) -> EchoBenchmark:
        return self

    def __exit__(self, *_error: object) -> None:
        """Nothing to give back."""

    def evaluate(self, count: int) -> None:
        """Let the time of so many tokens pass."""
        self._faults.reach("benchmark")
        tokens_per_s = self._pace.prompt_tokens_per_s if count > 1 else self._pace.tokens_per_s
        if tokens_per_s:
            _wait_until(time.perf_counter() + count / tokens_per_s, self._stop_flags)

    def truncate(self, length: int) -> bool:  # noqa: ARG002 - as in the protocol
        """Nothing is kept, so nothing is in the way."""
        return True


def _wait_until(time_s: float, stop_flags: StopFlags) -> None:
    while (left_s := time_s - time.perf_counter()) > 0:
        if stop_flags.is_set:
            raise AnswerAbortedError
        time.sleep(min(left_s, _WAIT_S))


def chat_prompt(messages: Sequence[ChatMessage]) -> str:
    """A conversation as one text."""
    return "".join(f"<{message.role}>{message.content}</{message.role}>\n" for message in messages)


def split_pieces(text: str) -> list[bytes]:
    """A text as tokens: words with the space before them; a character outside ASCII is cut in two where it can be."""
    pieces: list[bytes] = []
    for word in re.findall(r"\s?\S{1,8}|\s", text):
        data = word.encode("utf-8", "replace")
        cut = next((index + 1 for index, byte in enumerate(data) if byte >= 0xC0), len(data))
        pieces += [data[:cut], data[cut:]] if cut < len(data) else [data]
    return pieces


def sample_text(sampling: Sampling) -> str:
    """The sample; above temperature 0 its sections come in an order that the seed decides."""
    sections = list(SAMPLE_SECTIONS)
    if sampling.temperature > 0:
        random.Random(sampling.seed).shuffle(sections)
    return "\n\n".join(sections) + "\n"
