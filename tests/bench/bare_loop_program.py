"""llama.cpp with as little Python around it as possible: evaluates and samples, and does nothing with the tokens.

`python -m tests.bench.bare_loop_program MODEL N_TOKENS PROMPT THREADS`: for every line of stdin, a name in `SAMPLINGS` or
`none`, it generates that many tokens and prints the seconds from the first to the last of them. The model is loaded as a worker
loads it.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time

from localai_app.engine.protocol import LoadOptions, Sampling
from localai_app.engine.worker.llama import LlamaBackend
from localai_app.engine.worker.llama_model import LlamaModel
from localai_app.engine.worker.main import NICENESS
from localai_app.engine.worker.sampler import TokenSampler
from localai_app.engine.worker.stop_flag import StopFlags

SAMPLINGS = {
    "greedy": Sampling(temperature=0.0),
    "chain": Sampling(temperature=0.8, top_k=40, top_p=0.95, min_p=0.05, seed=1),
}
"""The second one is top-k, top-p, min-p and temperature in turn."""
NO_SAMPLING = "none"


def main() -> int:
    """Serve until stdin ends."""
    path, n_tokens, prompt = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    os.nice(NICENESS)
    backend = LlamaBackend(StopFlags())
    backend.load(1, LoadOptions(model_path=path, ctx=2048, threads=int(sys.argv[4])), lambda _fraction: None)
    model = backend._model
    assert model is not None
    answers.write("ready\n")
    for line in sys.stdin:
        answers.write(f"{bare_loop(model, SAMPLINGS.get(line.strip()), prompt, n_tokens)}\n")
    return 0


def bare_loop(model: LlamaModel, sampling: Sampling | None, prompt: str, n_tokens: int) -> float:
    """Seconds from the first to the last token; without sampling the same token again and again."""
    library = model.library
    model.truncate_cache(0)
    tokens = model.tokenize_start(prompt)
    sampler = TokenSampler(library, model, sampling or SAMPLINGS["greedy"])
    buffer = (ctypes.c_int32 * len(tokens))(*tokens)
    assert library.llama_decode(model.context, library.llama_batch_get_one(buffer, len(tokens))) == 0
    one = (ctypes.c_int32 * 1)(sampler.sample(model.context))
    batch = library.llama_batch_get_one(one, 1)
    started_s = time.perf_counter()
    for _ in range(n_tokens - 1):
        assert library.llama_decode(model.context, batch) == 0
        if sampling is not None:
            one[0] = sampler.sample(model.context)
        else:
            library.llama_synchronize(model.context)
    elapsed_s = time.perf_counter() - started_s
    sampler.close()
    return elapsed_s


if __name__ == "__main__":
    sys.exit(main())
