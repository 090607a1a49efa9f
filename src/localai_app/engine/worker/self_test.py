"""The worker's side of a self-test: loads the tiny model, computes, and reports what came out and how long it took."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Sequence
from typing import Any

from localai_app.engine.protocol import LoadOptions, SelfTested
from localai_app.engine.self_test import CONTINUATION, PROMPT
from localai_app.engine.tiny_model import BLOCKS, TRAINED_CTX
from localai_app.engine.worker.decoding import require_decoded
from localai_app.engine.worker.llama_load import ModelLoader
from localai_app.engine.worker.llama_model import LlamaModel

_ROUNDS = 5
"""The fastest counts: another program may have had the processor for a while."""
_LONG_ENOUGH_S = 3.0
"""No further round begins after this: a slow device, or one that compiles its programs first, has a deadline to meet."""


def run_self_test(loader: ModelLoader, request_id: int, model_path: str, *, on_gpu: bool) -> SelfTested:
    """Compute with every layer on the GPUs, or with none. RequestRefusedError where llama.cpp refuses."""
    options = LoadOptions(
        model_path=model_path, ctx=TRAINED_CTX, gpu_layers=BLOCKS + 1 if on_gpu else 0, threads=1, batch=len(PROMPT),
        ubatch=len(PROMPT))
    model, loaded = loader.load(request_id, options, lambda _fraction: None)
    try:
        prompt_s: list[float] = []
        continuation_s: list[float] = []
        while len(prompt_s) < _ROUNDS and sum(prompt_s) + sum(continuation_s) < _LONG_ENOUGH_S:
            model.library.llama_memory_clear(model.memory, True)
            prompt_s.append(_timed(model, [PROMPT]))
            after_prompt = _logits(model)
            continuation_s.append(_timed(model, [(token,) for token in CONTINUATION]))
        return SelfTested(
            id=request_id, after_prompt=after_prompt, after_continuation=_logits(model),
            prompt_tokens=len(PROMPT), prompt_s=min(prompt_s),
            generated_tokens=len(CONTINUATION), generated_s=min(continuation_s),
            devices=tuple(buffer.device for buffer in loaded.buffers if buffer.weights_bytes and buffer.kind != "cpu"))
    finally:
        model.free()


def _timed(model: LlamaModel, batches: Sequence[Sequence[int]]) -> float:
    """Evaluate these batches; the seconds until the last result is there."""
    library: Any = model.library
    started_s = time.perf_counter()
    for batch in batches:
        tokens = (ctypes.c_int32 * len(batch))(*batch)
        require_decoded(library.llama_decode(model.context, library.llama_batch_get_one(tokens, len(batch))))
    library.llama_synchronize(model.context)
    return time.perf_counter() - started_s


def _logits(model: LlamaModel) -> tuple[float, ...]:
    pointer = model.library.llama_get_logits_ith(model.context, -1)
    return tuple(pointer[index] for index in range(model.n_vocab))
