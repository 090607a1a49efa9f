"""The bare loop of tests/bench with the build and the set-up of a worker.

`python -m tests.gpu.bare_gpu_program OPTIONS WORKER...`: OPTIONS is a JSON text of LoadOptions, WORKER what follows
`--engine-worker` on a worker's command line. For every line of stdin, TOKENS and the name of a sampling, it prints the
seconds from the first to the last token.
"""

from __future__ import annotations

import os
import sys

import msgspec

from localai_app.engine.protocol import LoadOptions
from localai_app.engine.worker.llama import LlamaBackend
from localai_app.engine.worker.main import NICENESS, _parse
from localai_app.engine.worker.stop_flag import StopFlags
from tests.bench.bare_loop_program import SAMPLINGS, bare_loop

PROMPT = "The history of the lighthouse begins"


def main() -> int:
    """Serve until stdin ends."""
    options = msgspec.json.decode(sys.argv[1], type=LoadOptions)
    chosen = _parse(sys.argv[2:])
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    os.nice(NICENESS)
    from localai_app.engine.worker.library import Library

    library = Library(chosen.library_dir, tuple(chosen.backend_file), hides_gpus=chosen.no_gpu)
    backend = LlamaBackend(StopFlags(), chosen.rpc, library)
    backend.load(1, options, lambda _fraction: None)
    model = backend._model
    assert model is not None
    answers.write("ready\n")
    for line in sys.stdin:
        n_tokens, name = line.split()
        answers.write(f"{bare_loop(model, SAMPLINGS.get(name), PROMPT, int(n_tokens))}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
