"""The first token of a load: whether what was loaded can compute at all, told before anybody waits for an answer."""

from __future__ import annotations

import ctypes
from typing import Any

from localai_app.engine.worker.decoding import ABORTED, require_decoded


def warm_up(library: Any, model: Any, context: Any) -> None:
    """Send one token through the whole model and forget it; RequestRefusedError where llama.cpp says that it could not.

    Some builds load a model and die at the first decode (with instructions that a virtual machine lists and does not
    grant), and some drivers take memory only then.
    """
    if library.llama_model_has_encoder(model):
        # The decoder of these waits for what the encoder read.
        return
    vocab = library.llama_model_get_vocab(model)
    candidates = (library.llama_vocab_bos(vocab), library.llama_vocab_eos(vocab), 0)
    token = (ctypes.c_int32 * 1)(next(candidate for candidate in candidates if candidate >= 0))
    result: int = library.llama_decode(context, library.llama_batch_get_one(token, 1))
    if result != ABORTED:
        require_decoded(result)
    library.llama_synchronize(context)
    library.llama_memory_clear(library.llama_get_memory(context), False)
