"""The same answers by `llama_cpp.Llama`, streamed as its users do; spoken to like the bare loop.

`python -m tests.bench.llama_class_program MODEL N_TOKENS PROMPT THREADS`. With the threads and the flash attention of a worker.
"""

from __future__ import annotations

import itertools
import os
import sys
import time
from typing import Any

from localai_app.engine.worker.llama_load import physical_core_count
from localai_app.engine.worker.main import NICENESS
from tests.bench.bare_loop_program import SAMPLINGS


def main() -> int:
    """Serve until stdin ends."""
    path, n_tokens, prompt = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    os.nice(NICENESS)
    import llama_cpp

    threads = int(sys.argv[4]) or physical_core_count()
    llama = llama_cpp.Llama(path, n_ctx=2048, n_threads=threads, n_threads_batch=threads, flash_attn=True, verbose=False)
    answers.write("ready\n")
    for line in sys.stdin:
        sampling = SAMPLINGS[line.strip()]
        llama.reset()
        stream: Any = llama.create_completion(
            prompt, max_tokens=n_tokens, stream=True, temperature=sampling.temperature, top_k=sampling.top_k,
            top_p=sampling.top_p, min_p=sampling.min_p, repeat_penalty=1.0, seed=1, logit_bias={llama.token_eos(): -100.0})
        next(stream)
        started_s = time.perf_counter()
        for _chunk in itertools.islice(stream, n_tokens - 1):
            pass
        answers.write(f"{time.perf_counter() - started_s}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
