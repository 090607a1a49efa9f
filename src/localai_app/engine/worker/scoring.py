"""Measures what a variant loses against its reference: both models in one process, fed the same tokens.

As llama.cpp's `tools/perplexity` does it: the text is cut into chunks of `ctx` tokens, each read from an empty cache with the
BOS token in the first place where the vocabulary wants one, and only the second half of a chunk is scored, so that every scored
token has something before it. The tool writes the reference's distributions to a file of gigabytes; here the logits of both
models meet, and only sums are kept: a chunk at a time, or slice by slice where the vocabulary is too large for that
(`scoring_model.LOGITS_BYTES`).
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from localai_app.engine.failure import RequestRefusedError
from localai_app.engine.protocol import KvType, LoadOptions, LossProgressed, LossScored, ScoreLoss
from localai_app.engine.worker.answer import AnswerAbortedError, Sender
from localai_app.engine.worker.llama_load import ModelLoader
from localai_app.engine.worker.loss_statistics import LossStatistics, NotNumbersError
from localai_app.engine.worker.scoring_model import STEP_TOKENS, ScoringModel
from localai_app.engine.worker.stop_flag import StopFlags
from localai_app.errors import LOSS_REFUSED, TEXT_TOO_SHORT
from localai_app.units import format_count

MIN_CTX = 32
_REPORT_INTERVAL_S = 0.1


class LossScoring:
    """Runs one ScoreLoss to its end; used once. `make_loader` makes a loader for one model."""

    def __init__(
        self, command: ScoreLoss, make_loader: Callable[[], ModelLoader], sender: Sender, flags: StopFlags,
    ) -> None:
        self._command = command
        self._make_loader = make_loader
        self._sender = sender
        self._flags = flags
        self._progress = LossProgressed(id=command.id)
        self._reported_s = 0.0
        self._models: list[ScoringModel] = []

    def run(self) -> LossScored:
        """Load, read, compare. RequestRefusedError in words; stopped, it answers without sums."""
        try:
            return self._scored()
        except AnswerAbortedError:
            return LossScored(id=self._command.id)
        except NotNumbersError as error:
            name = self._names[0 if error.is_reference else 1]
            raise self._refused(f"{name} computes values that are not numbers; its file may be damaged") from error
        finally:
            for model in self._models:
                model.free()

    def _scored(self) -> LossScored:
        self._report()
        reference = self._loaded(self._command.reference, 0)
        variant = self._loaded(self._command.variant, 1)
        difference = vocabulary_difference(reference, variant)
        if difference:
            raise self._refused(f"their vocabularies differ: {difference}")
        ctx = max(MIN_CTX, min(self._command.ctx, reference.ctx_train or self._command.ctx))
        chunks = self._chunks(reference, ctx)
        generated = chunks[0][: self._command.generated_tokens]
        self._progress = msgspec.structs.replace(
            self._progress, load_fraction=1.0, total=2 * (ctx * len(chunks) + len(generated)))
        self._report()
        statistics = LossStatistics(reference.n_vocab)
        for chunk in chunks:
            self._score_chunk(statistics, reference, variant, chunk)
        for model in (reference, variant):
            model.time_generation(generated)
            self._count(len(generated))
        return LossScored(
            id=self._command.id, sums=statistics.sums(), reference=reference.scored(), variant=variant.scored(),
            n_tokens=ctx * len(chunks), ctx=ctx, threads=variant.threads)

    def _loaded(self, options: LoadOptions, place: int) -> ScoringModel:
        """One of the two, with a context for one chunk; `place` 0 is the reference."""
        if self._flags.is_set:
            raise AnswerAbortedError
        ctx = max(MIN_CTX, self._command.ctx)
        options = msgspec.structs.replace(
            options, ctx=ctx, batch=min(ctx, STEP_TOKENS), ubatch=min(ctx, STEP_TOKENS), draft_path="", draft_tokens=0,
            kept_bytes=0, kv_type=KvType.F16)

        def on_progress(fraction: float) -> None:
            self._progress = msgspec.structs.replace(self._progress, load_fraction=(place + min(1.0, fraction)) / 2)
            self._report_at_times()

        loader = self._make_loader()
        model, loaded = loader.load(self._command.id, options, on_progress)
        if not model.has_vocabulary or model.library.llama_model_has_encoder(model.model):
            name = self._names[place]
            model.free()
            raise self._refused(f"{name} is no model that continues a text")
        scoring = ScoringModel(loader, model, options, loaded.description, loaded.gpu_layers)
        self._models.append(scoring)
        return scoring

    def _chunks(self, model: ScoringModel, ctx: int) -> list[list[int]]:
        """The text in pieces of `ctx` tokens, each with BOS in its first place where the vocabulary has it so."""
        tokens = tokenize_text(model, self._command.text)
        n_chunks = min(len(tokens) // ctx, max(1, self._command.max_tokens // ctx))
        if not n_chunks:
            raise RequestRefusedError(TEXT_TOO_SHORT, tokens=format_count(len(tokens)), needed=format_count(ctx))
        chunks = [tokens[start : start + ctx] for start in range(0, n_chunks * ctx, ctx)]
        bos: int = model.library.llama_vocab_bos(model.vocab)
        if model.library.llama_vocab_get_add_bos(model.vocab) and bos >= 0:
            for chunk in chunks:
                chunk[0] = bos
        return chunks

    def _score_chunk(
        self, statistics: LossStatistics, reference: ScoringModel, variant: ScoringModel, chunk: Sequence[int],
    ) -> None:
        """Read a chunk with both; compare the distributions before each token of its second half but the first."""
        first, end = len(chunk) // 2, len(chunk)
        at_once = reference.takes_at_once(end, end - first)
        for model in (reference, variant):
            self._require_unstopped()
            model.begin()
            if not at_once:
                model.read(chunk[:first], 0)
                self._count(first)
        slices = [(0, end)] if at_once else [
            (start, min(start + reference.rows, end)) for start in range(first, end, reference.rows)]
        for start, stop in slices:
            skipped = max(0, first - start)
            base = reference.logits_of(chunk[start:stop], start, skipped)
            self._count(stop - start)
            other = variant.logits_of(chunk[start:stop], start, skipped)
            # What follows the last token of a chunk is not known.
            for row, place in enumerate(range(start + skipped, min(stop, end - 1))):
                self._require_unstopped()
                statistics.add(base[row], other[row], chunk[place + 1])
            self._count(stop - start)

    def _count(self, tokens: int) -> None:
        self._progress = msgspec.structs.replace(self._progress, done=self._progress.done + tokens)
        self._report_at_times()

    def _report_at_times(self) -> None:
        if time.monotonic() - self._reported_s >= _REPORT_INTERVAL_S:
            self._report()

    def _report(self) -> None:
        self._reported_s = time.monotonic()
        self._sender.send(self._progress)

    def _require_unstopped(self) -> None:
        if self._flags.is_set:
            raise AnswerAbortedError

    @property
    def _names(self) -> tuple[str, str]:
        return Path(self._command.reference.model_path).name, Path(self._command.variant.model_path).name

    def _refused(self, reason: str) -> RequestRefusedError:
        reference, variant = self._names
        return RequestRefusedError(LOSS_REFUSED, reference=reference, variant=variant, reason=reason)


def vocabulary_difference(first: ScoringModel, second: ScoringModel) -> str:
    """The first thing in which two vocabularies differ, as part of a sentence; empty where they are the same."""
    if first.n_vocab != second.n_vocab:
        return f"{format_count(first.n_vocab)} entries in one and {format_count(second.n_vocab)} in the other"
    text_of = first.library.llama_vocab_get_text
    for token in range(first.n_vocab):
        one, other = text_of(first.vocab, token), text_of(second.vocab, token)
        if one != other:
            shown = [(text or b"").decode("utf-8", "replace") for text in (one, other)]
            return f"entry {token} is “{shown[0]}” in one and “{shown[1]}” in the other"
    return ""


def tokenize_text(model: ScoringModel, text: str) -> list[int]:
    """The tokens of a text as `common_tokenize` makes them for the tool: with BOS, and names of special tokens are text."""
    data = text.encode("utf-8", "replace")
    room = len(data) + 16
    tokens = (ctypes.c_int32 * room)()
    count: int = model.library.llama_tokenize(model.vocab, data, len(data), tokens, room, True, False)
    return list(tokens[: max(0, count)])
