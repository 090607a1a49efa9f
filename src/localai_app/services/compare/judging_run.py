"""One judge model in a worker of its own: loaded, asked about pairs of answers in both orders, ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from localai_app import errors
from localai_app.compare.comparison import CellKey, Comparison, Duel, Vote
from localai_app.compare.judging import (
    INSTRUCTIONS,
    VERDICT_GRAMMAR,
    VERDICT_TOKENS,
    Bench,
    Opinion,
    duel_of,
    named_reason,
    opinion_of,
    question,
    shortened,
    vote_of,
)
from localai_app.engine.launch import CommandSource
from localai_app.engine.load_options import LoadOptions
from localai_app.engine.protocol import Sampling
from localai_app.errors import AppError
from localai_app.services.compare.cell_request import CellRequest
from localai_app.services.compare.contestant_worker import ContestantWorker, LoadFacts
from localai_app.services.thinking import AnswerText
from localai_app.services.vendor_sampling import OFF

_CHARS_PER_TOKEN = 3.0
"""Of the text that fills the context at first; where a language needs more tokens, less of it is shown."""
_OWN_TOKENS = 320
"""Instructions, frame and template."""
_LEAST_CHARS = 200
_SAMPLING = Sampling(temperature=0.0, seed=0, grammar=VERDICT_GRAMMAR, max_tokens=VERDICT_TOKENS)


@dataclass(frozen=True, slots=True)
class Judgement:
    """A vote, and how it came about."""

    vote: Vote
    n_split: int
    """Pairs about which the two orders disagreed."""
    n_unclear: int
    """Pairs about which a reply was of no use."""
    n_cut: int
    """Answers of which the judge saw only a part."""


class JudgingRun:
    """Used once, in the thread of its owner; `stop` may come from any thread. `close` it in any case."""

    def __init__(self, command: CommandSource, folder: Path, judge: str) -> None:
        self._worker = ContestantWorker(command, folder)
        self._judge = judge
        self._facts: LoadFacts | None = None
        self._chars = 0

    def stop(self) -> None:
        """Let the call that is under way raise StoppedError soon."""
        self._worker.stop()

    def close(self) -> None:
        """End the worker."""
        self._worker.close()

    def load(self, options: LoadOptions, on_progress: Callable[[float], None]) -> None:
        """Load the judge; AppError, WorkerEndedError or StoppedError."""
        self._facts = self._worker.load(options, on_progress)
        self._chars = round((self._facts.loaded.ctx - _OWN_TOKENS - VERDICT_TOKENS) * _CHARS_PER_TOKEN)

    def judge(self, comparison: Comparison, bench: Bench) -> Judgement:
        """Have all pairs of a bench judged; raises as `load`."""
        texts = {
            place: answer.text for place in bench.contestants
            if (answer := comparison.answer(CellKey(place, bench.prompt, bench.repeat))) is not None}
        asked = comparison.spec.prompts[bench.prompt].text
        duels: list[Duel] = []
        reasons: list[str] = []
        n_split = n_unclear = 0
        for first, second in bench.pairs:
            if texts[first].strip() == texts[second].strip():
                duels.append(Duel(first=first, second=second))
                continue
            straight = self._ask(asked, texts[first], texts[second])
            swapped = self._ask(asked, texts[second], texts[first])
            duels.append(duel_of(first, second, straight, swapped))
            is_unclear = straight is None or swapped is None
            n_unclear += is_unclear
            n_split += not is_unclear and duels[-1].winner is None and not _say_tie(straight, swapped)
            if straight is not None and duels[-1].winner is not None:
                reasons.append(named_reason(comparison, bench, (first, second), straight.reason))
        n_cut = sum(len(text.strip()) > self._room for text in texts.values())
        said = " ".join((*reasons, "Only parts of long answers were judged.")) if n_cut else " ".join(reasons)
        vote = vote_of(bench, duels, self._judge, said, is_blind=comparison.spec.is_blind)
        return Judgement(vote, n_split, n_unclear, n_cut)

    @property
    def _room(self) -> int:
        """Characters of an answer that the judge sees; the question gets as many."""
        return max(_LEAST_CHARS, self._chars // 3)

    def _ask(self, asked: str, first: str, second: str) -> Opinion | None:
        while True:
            text = question(*(shortened(part.strip(), self._room) for part in (asked, first, second)))
            try:
                return self._reply(text)
            except AppError as error:
                if error.spec is not errors.PROMPT_TOO_LONG or self._room <= _LEAST_CHARS:
                    raise
                self._chars //= 2

    def _reply(self, text: str) -> Opinion | None:
        assert self._facts is not None
        has_template, reply = self._facts.loaded.has_chat_template, AnswerText()
        request = CellRequest(INSTRUCTIONS, text, _SAMPLING, OFF)
        self._worker.answer(
            lambda request_id: request.command(request_id, has_template=has_template),
            lambda piece: reply.add(piece.channel, piece.text, takes_back=piece.takes_back))
        return opinion_of(reply.answer + reply.tool)


def _say_tie(straight: Opinion | None, swapped: Opinion | None) -> bool:
    return straight is not None and swapped is not None and straight.better is swapped.better is straight.better.TIE
