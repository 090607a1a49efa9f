"""Where the bytes of a model's tensors lie: per block, experts, output head, tables that stay in main memory."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from localai_app.gguf.geometry import RearrangedWeights, Weights
from localai_app.gguf.header import GgufHeader, TensorInfo
from localai_app.gguf.rearranged import Rearranging, is_rearranged

_BLOCK = re.compile(r"(?:^|\.)blk\.(\d+)\.")
_EXPERTS = re.compile(r"\.ffn_(?:up|down|gate_up|gate)_(?:ch)?exps\.")
_INPUT = ("token_embd.", "per_layer_token_embd.", "position_embd.", "token_types.")
"""Tensors of llama.cpp's input layer: looked up, kept in main memory at every offload."""
PROJECTOR_ARCHITECTURES = ("clip",)


def block_of(tensor: TensorInfo) -> int | None:
    """The block that a tensor belongs to; None for tables, the head and other tensors of the whole model."""
    found = _BLOCK.search(tensor.name)
    return int(found[1]) if found else None


def holds_experts(tensor: TensorInfo) -> bool:
    """Whether the tensor holds routed experts (of which a token reads only a few)."""
    return _EXPERTS.search(tensor.name) is not None


def layer_count(header: GgufHeader) -> int:
    """Blocks that run: next-token-prediction blocks at the end are in the file, but not loaded."""
    n_blocks = header.integer("block_count")
    n_layers = n_blocks - header.integer("nextn_predict_layers")
    if n_layers < 1:
        raise header.refused("it does not say how many layers it has")
    return n_layers


def model_tensors(headers: Sequence[GgufHeader]) -> list[TensorInfo]:
    """The tensors of a model over all its parts, without projectors and next-token-prediction blocks."""
    n_layers = layer_count(headers[0])
    tensors: dict[str, TensorInfo] = {}
    for header in headers:
        if header.architecture in PROJECTOR_ARCHITECTURES:
            continue
        for tensor in header.tensors:
            if tensor.name in tensors:
                raise header.refused("it repeats a tensor of another part")
            tensors[tensor.name] = tensor
    return [tensor for tensor in tensors.values() if (block_of(tensor) or 0) < n_layers]


def weights_of(headers: Sequence[GgufHeader]) -> Weights:
    """The bytes of a model by place. `headers`: all parts, the first of them first, then a projector if there is one.

    Next-token-prediction blocks are left out (llama.cpp does not load them). Small tensors of the whole model (norms,
    rope factors) count with the last block. Raises `AppError` GGUF_REFUSED.
    """
    n_layers = layer_count(headers[0])
    tensors = model_tensors(headers)
    layers, experts = [0] * n_layers, [0] * n_layers
    head_bytes = input_bytes = table_bytes = 0
    for tensor in tensors:
        block = block_of(tensor)
        if block is not None:
            layers[block] += tensor.n_bytes
            experts[block] += tensor.n_bytes if holds_experts(tensor) else 0
        elif tensor.name.startswith(_INPUT):
            input_bytes += tensor.n_bytes
            table_bytes += tensor.n_bytes if tensor.name == "token_embd.weight" else 0
        elif tensor.name.startswith("output."):
            head_bytes += tensor.n_bytes
        else:
            layers[-1] += tensor.n_bytes
    return Weights(
        layers_bytes=tuple(layers),
        layers_expert_bytes=tuple(experts),
        output_bytes=head_bytes or table_bytes,
        input_bytes=input_bytes,
        tied_embeddings=head_bytes == 0,
        projector_bytes=_bytes(t for h in headers if h.architecture in PROJECTOR_ARCHITECTURES for t in h.tensors),
        rearranged=tuple(_rearranged(tensors, n_layers, way, is_tied=head_bytes == 0) for way in Rearranging),
    )


def _rearranged(tensors: Sequence[TensorInfo], n_layers: int, way: Rearranging, *, is_tied: bool) -> RearrangedWeights:
    layers, head_bytes = [0] * n_layers, 0
    head = "token_embd.weight" if is_tied else "output.weight"
    for tensor in tensors:
        if not is_rearranged(tensor, way, is_experts=holds_experts(tensor)):
            continue
        block = block_of(tensor)
        if block is not None:
            layers[block] += tensor.n_bytes
        elif tensor.name == head:
            head_bytes += tensor.n_bytes
    return RearrangedWeights(way=way, layers_bytes=tuple(layers), output_bytes=head_bytes)


def _bytes(tensors: Iterable[TensorInfo]) -> int:
    return sum(tensor.n_bytes for tensor in tensors)
