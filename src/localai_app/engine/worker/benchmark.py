"""The loop of a benchmark: the same for every back end, so that tests with `echo` exercise the real one.

As in `llama-bench`, the tokens are random and nothing is sampled, so that the figures can be compared with its own. They are
the same in every run: which experts a model takes depends on them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

import msgspec

from localai_app.engine.benchmark import BenchmarkKind, BenchmarkRow
from localai_app.engine.protocol import Benchmark, Benchmarked, BenchmarkProgressed
from localai_app.engine.worker.answer import AnswerAbortedError, Sender
from localai_app.engine.worker.stop_flag import StopFlags

_REPORT_INTERVAL_S = 0.1


class BenchmarkTarget(Protocol):
    """A loaded model whose cache is empty."""

    ctx: int
    part_tokens: int
    """The most tokens of a prompt that are evaluated in one step."""
    threads: int

    def evaluate(self, count: int) -> None:
        """Evaluate so many tokens, at most `part_tokens`, behind those in the cache, and wait for the result.

        AnswerAbortedError where the running request was asked to stop meanwhile.
        """

    def truncate(self, length: int) -> bool:
        """Keep the first `length` tokens of the cache; false where it could not, in which case it is empty now."""


class BenchmarkLoop:
    """Runs one Benchmark to its end, or until it is stopped: within a step of a prompt, or a token."""

    def __init__(self, command: Benchmark, target: BenchmarkTarget, sender: Sender, flags: StopFlags) -> None:
        self._repeats = max(1, command.repeats)
        self._id = command.id
        self._target = target
        self._sender = sender
        self._flags = flags
        lengths = [BenchmarkRow(kind=BenchmarkKind.PROMPT, tokens=tokens) for tokens in _rising(command.prompt_tokens, 1)]
        depths = [
            BenchmarkRow(kind=BenchmarkKind.GENERATION, tokens=max(1, command.generated_tokens), depth=depth)
            for depth in _rising(command.depths, 0)]
        self._rows = (*lengths, *depths)
        self._progress = self._planned()
        self._filled = 0
        self._reported_s = 0.0

    def run(self) -> Benchmarked:
        """Warm up, then measure row by row."""
        rows: list[BenchmarkRow] = []
        try:
            self._report()
            if any(self._fits(row) for row in self._rows):
                self._warm_up()
            for row in self._rows:
                rows.append(self._measured(row) if self._fits(row) else row)
        except AnswerAbortedError:
            pass
        return Benchmarked(
            id=self._id, rows=tuple(rows), ctx=self._target.ctx, threads=self._target.threads,
            is_complete=len(rows) == len(self._rows))

    def _fits(self, row: BenchmarkRow) -> bool:
        return row.needed_ctx <= self._target.ctx

    def _planned(self) -> BenchmarkProgressed:
        """What there is to do, if the cache can be cut back to each depth."""
        fitting = [row for row in self._rows if self._fits(row)]
        read = sum(row.tokens * self._repeats for row in fitting if row.kind is BenchmarkKind.PROMPT)
        generating = [row for row in fitting if row.kind is BenchmarkKind.GENERATION]
        return BenchmarkProgressed(
            id=self._id, prompt_total=read + max((row.depth for row in generating), default=0),
            generated_total=sum(row.tokens * self._repeats for row in generating))

    def _warm_up(self) -> None:
        """The first steps find cold caches, threads and graphs; they are not counted."""
        count = min(self._target.part_tokens, self._target.ctx - 1)
        self._step(count)
        self._step(1)
        self._cut(0)

    def _measured(self, row: BenchmarkRow) -> BenchmarkRow:
        measure = self._read if row.kind is BenchmarkKind.PROMPT else self._generate
        return msgspec.structs.replace(row, seconds=tuple(measure(row) for _ in range(self._repeats)))

    def _read(self, row: BenchmarkRow) -> float:
        self._cut(0)
        return self._timed(row.tokens, BenchmarkKind.PROMPT)

    def _generate(self, row: BenchmarkRow) -> float:
        self._cut(row.depth)
        self._timed(row.depth - self._filled, BenchmarkKind.PROMPT)
        return self._timed(row.tokens, BenchmarkKind.GENERATION)

    def _timed(self, count: int, kind: BenchmarkKind) -> float:
        """Seconds for so many tokens in steps; what is between the steps is not counted."""
        part_tokens = self._target.part_tokens if kind is BenchmarkKind.PROMPT else 1
        total_s = 0.0
        while count > 0:
            part = min(count, part_tokens)
            started_s = time.perf_counter()
            self._step(part)
            seconds = time.perf_counter() - started_s
            total_s += seconds
            count -= part
            self._count(part, seconds, kind)
        return total_s

    def _step(self, count: int) -> None:
        if self._flags.is_set:
            raise AnswerAbortedError
        self._target.evaluate(count)
        self._filled += count

    def _cut(self, length: int) -> None:
        """Cut the cache back to a depth; where it cannot be, it is read again, which was not planned."""
        if self._filled <= length:
            return
        kept = self._target.truncate(length)
        self._filled = length if kept else 0
        if not kept:
            self._progress = msgspec.structs.replace(self._progress, prompt_total=self._progress.prompt_total + length)

    def _count(self, tokens: int, seconds: float, kind: BenchmarkKind) -> None:
        done = self._progress
        if kind is BenchmarkKind.PROMPT:
            self._progress = msgspec.structs.replace(
                done, prompt_done=done.prompt_done + tokens, prompt_s=done.prompt_s + seconds)
        else:
            self._progress = msgspec.structs.replace(
                done, generated_done=done.generated_done + tokens, generation_s=done.generation_s + seconds)
        if time.monotonic() - self._reported_s >= _REPORT_INTERVAL_S:
            self._report()

    def _report(self) -> None:
        self._reported_s = time.monotonic()
        self._sender.send(self._progress)


def _rising(counts: Sequence[int], least: int) -> list[int]:
    return sorted({count for count in counts if count >= least})
