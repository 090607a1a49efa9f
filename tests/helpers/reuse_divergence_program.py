"""How far the next token after a second turn moves because the first turn was not read again.

`python -m tests.helpers.reuse_divergence_program MODEL N_PROMPTS THREADS` prints a JSON list of one object a prompt: `kl`, the
divergence of what the model expects next from what it expects after a cold read of the same tokens (nats), and the counts
`prompt_tokens` and `reused_tokens`.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys

import numpy as np

from localai_app.engine.protocol import LoadOptions, Sampling
from localai_app.engine.worker.llama import LlamaBackend
from localai_app.engine.worker.llama_answer import LlamaAnswer
from localai_app.engine.worker.llama_model import LlamaModel
from localai_app.engine.worker.stop_flag import StopFlags

TOPICS = ("a fox", "the sea", "old maps", "bread", "a lighthouse", "winter", "trains", "a garden", "music", "the moon")
BEGINNINGS = (
    "A story about {}: once upon a time", "Why people like {}: it was", "The history of {} begins in",
    "I always thought that {}", "My grandmother told me that {}")
NEXT = " And then, one day, there"
ANSWER_TOKENS = 6


def main() -> int:
    """Measure each prompt."""
    path, n_prompts, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    backend = LlamaBackend(StopFlags())
    backend.load(1, LoadOptions(model_path=path, ctx=512, threads=threads), lambda _fraction: None)
    model = backend._model
    assert model is not None
    prompts = [beginning.format(topic) for beginning in BEGINNINGS for topic in TOPICS][:n_prompts]
    json.dump([measured(backend, model, prompt) for prompt in prompts], answers)
    answers.flush()
    return 0


def measured(backend: LlamaBackend, model: LlamaModel, prompt: str) -> dict[str, float]:
    """One prompt, gone on with, and then the whole read anew."""
    first = read(backend.prepare_completion(prompt, Sampling(temperature=0.0)))
    pieces = [piece for _ in range(ANSWER_TOKENS) if (piece := first.next_piece()) is not None]
    text = b"".join(pieces).decode("utf-8", "ignore")
    first.close(text)
    second = read(backend.prepare_completion(prompt + text + NEXT, Sampling(temperature=0.0)))
    reused = logits(model)
    second.close("")
    tokens = list(model.cached)
    model.truncate_cache(0)
    buffer = (ctypes.c_int32 * len(tokens))(*tokens)
    assert model.library.llama_decode(model.context, model.library.llama_batch_get_one(buffer, len(tokens))) == 0
    cold = logits(model)
    model.truncate_cache(0)
    return {
        "kl": float(np.sum(np.exp(cold) * (cold - reused))), "prompt_tokens": second.prompt_tokens,
        "reused_tokens": second.reused_tokens}


def read(answer: LlamaAnswer) -> LlamaAnswer:
    """Evaluate its prompt."""
    while len(answer._model.cached) < answer.prompt_tokens:
        answer.evaluate_prompt_part()
    return answer


def logits(model: LlamaModel) -> np.ndarray:
    """Log-probabilities of the next token."""
    pointer = model.library.llama_get_logits_ith(model.context, -1)
    row = np.ctypeslib.as_array(pointer, shape=(model.n_vocab,)).astype(np.float64)
    row -= row.max()
    result: np.ndarray = row - np.log(np.exp(row).sum())
    return result


if __name__ == "__main__":
    sys.exit(main())
