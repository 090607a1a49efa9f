"""What sets the activations of some architectures apart: it decides the size of their compute buffer."""

from __future__ import annotations

GEMMA3N_PER_LAYER = 256
"""`llama_hparams::n_embd_altup`; llama.cpp does not read it from the file."""
UNGATED_ARCHITECTURES = ("nemotron_h", "nemotron_h_moe")
"""Feed-forwards of two matrices, a squared ReLU between them."""
_GEMMA3N_STREAMS = 7
"""Rows of embeddings beyond those of other models: AltUp runs four copies of the residual and predicts all four."""


def input_elements(architecture: str, n_layer: int, n_embd: int, *, per_layer: int = 0, deepstack: int = 0) -> int:
    """Elements per token, F32, of inputs that main memory holds wherever the blocks run; arguments as of `side_elements`."""
    per_layer = GEMMA3N_PER_LAYER if architecture == "gemma3n" else per_layer
    return per_layer * n_layer + deepstack * n_embd


def side_elements(architecture: str, n_layer: int, n_embd: int, *, per_layer: int = 0, deepstack: int = 0) -> int:
    """Elements per token, F32. `per_layer`: per-layer embedding of one layer; `deepstack`: blocks that image features enter.

    Per-layer inputs of all layers are made before the first block (`build_inp_per_layer` in src/models/gemma3n.cpp and
    gemma4.cpp). Image features are part of the input row and of its copy for text (`build_inp_embd` in src/llama-graph.cpp).
    """
    if architecture == "gemma3n":
        return GEMMA3N_PER_LAYER * n_layer + _GEMMA3N_STREAMS * n_embd
    return per_layer * n_layer + 2 * deepstack * n_embd
