"""All logits of the second half of each chunk of a text, through llama.cpp alone: what measured losses are checked against.

`python -m tests.helpers.full_logits_program TEXT CTX CHUNKS STEP OUT MODEL...`. A chunk is one batch, as in llama.cpp's
perplexity tool with `n_batch` of one chunk; with a STEP, its second half is read in batches of so many tokens. (How many rows
are computed together changes the last digits of quantized products: 1% and more of a divergence.) OUT is a folder that gets a
file `N.npz` for each model, with `logits` (chunks, ctx - 1 - ctx / 2, vocabulary), 32 bits, and `tokens` (chunks, ctx).
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def full_logits(
    models: Sequence[Path], text: Path, out: Path, *, ctx: int, n_chunks: int, step: int = 0,
) -> list[tuple[Array, Array]]:
    """Logits and tokens of each model, computed in a child process."""
    result = subprocess.run(
        [sys.executable, "-m", "tests.helpers.full_logits_program",
         *map(str, (text, ctx, n_chunks, step, out, *models))],
        capture_output=True, text=True, timeout=300, check=False, cwd=Path(__file__).resolve().parents[2])
    assert result.returncode == 0, result.stderr[-2000:]
    found = []
    for number in range(len(models)):
        with np.load(out / f"{number}.npz") as file:
            found.append((file["logits"], file["tokens"]))
    return found


def _main() -> None:
    from llama_cpp import llama_cpp as library

    text, ctx, n_chunks, step, out = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), Path(sys.argv[5])
    quiet = library.llama_log_callback(lambda _level, _text, _data: None)
    library.llama_log_set(quiet, ctypes.c_void_p(0))
    library.llama_backend_init()
    for number, path in enumerate(sys.argv[6:]):
        logits, tokens = _read(library, path, Path(text).read_bytes(), (ctx, n_chunks, step))
        np.savez(out / f"{number}.npz", logits=logits, tokens=tokens)


def _read(library: Any, path: str, data: bytes, shape: tuple[int, int, int]) -> tuple[Array, Array]:
    ctx, n_chunks, step = shape
    model = library.llama_model_load_from_file(os.fsencode(path), library.llama_model_default_params())
    parameters = library.llama_context_default_params()
    parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = ctx
    parameters.n_threads = parameters.n_threads_batch = 1
    context = library.llama_init_from_model(model, parameters)
    vocab = library.llama_model_get_vocab(model)
    n_vocab = library.llama_vocab_n_tokens(vocab)
    room = (ctypes.c_int32 * (len(data) + 16))()
    count = library.llama_tokenize(vocab, data, len(data), room, len(room), True, False)
    tokens = np.array(room[: min(count, ctx * n_chunks)], dtype=np.int32).reshape(n_chunks, ctx)
    if library.llama_vocab_get_add_bos(vocab):
        tokens[:, 0] = library.llama_vocab_bos(vocab)
    first = ctx // 2
    logits = np.empty((n_chunks, ctx - 1 - first, n_vocab), dtype=np.float32)
    batch = library.llama_batch_init(ctx, 0, 1)
    parts = [(0, first), *((start, min(start + step, ctx)) for start in range(first, ctx, step))] if step else [(0, ctx)]
    for chunk in range(n_chunks):
        library.llama_memory_clear(library.llama_get_memory(context), True)
        for start, end in parts:
            batch.n_tokens = end - start
            for index, position in enumerate(range(start, end)):
                batch.token[index], batch.pos[index] = int(tokens[chunk, position]), position
                batch.n_seq_id[index], batch.seq_id[index][0] = 1, 0
                batch.logits[index] = position >= first
            assert library.llama_decode(context, batch) == 0
            begin = max(start, first)
            if end > begin:
                n_rows = end - begin
                rows = np.ctypeslib.as_array(library.llama_get_logits_ith(context, begin - start), (n_rows * n_vocab,))
                kept = rows.reshape(n_rows, n_vocab)[: ctx - 1 - begin]
                logits[chunk, begin - first : begin - first + len(kept)] = kept
    library.llama_free(context)
    library.llama_model_free(model)
    return logits, tokens


if __name__ == "__main__":
    _main()
