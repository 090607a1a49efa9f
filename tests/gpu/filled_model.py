"""Models of the catalog at their true dimensions in files that answer: random weights, and a vocabulary of bytes and numbers.

A GPU takes as long for random weights as for trained ones, and as much memory, so nothing has to be downloaded.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from tests.helpers.gguf_files import TinyModel, Typed, tiny_metadata
from tests.helpers.synthetic import synthesise, write_sparse
from tests.helpers.synthetic.model import ALIGNMENT, SyntheticModel, SyntheticTensor

SOURCES = Path(__file__).resolve().parents[2] / "resources" / "catalog" / "sources" / "models.json"
_TILE_BLOCKS = 64 * 1024
"""Blocks of random weights that are made once for each type and written again and again, each tensor from another one on."""
_F16 = np.dtype("<f2")
_SCALES = {
    # Where the 16-bit scales of a block lie, in bytes, and what they are set to: weights come out near 0.02 of either sign.
    "Q4_0": {0: 4e-3}, "Q5_0": {0: 2e-3}, "Q8_0": {0: 2.5e-4}, "Q4_K": {0: 1.2e-4, 2: 9e-4}, "Q5_K": {0: 6e-5, 2: 9e-4},
    "Q6_K": {208: 1.6e-5}}
"""Q4_K and Q5_K take a minimum off each weight: the second figure is 7.5 (15.5) times the first, so that the mean is zero."""


def row_of(model_id: str) -> dict[str, Any]:
    """A model of the catalog's sources by its id."""
    rows: list[dict[str, Any]] = json.loads(SOURCES.read_text(encoding="utf-8"))
    return next(row for row in rows if row["id"] == model_id)


def write_model(path: Path, model_id: str, label: str, *, is_filled: bool) -> Path:
    """Writes a model that llama.cpp loads. Not filled: all weights are zeros, which takes no room and says nothing of speed."""
    row = row_of(model_id)
    model = synthesise(row, label)
    model = replace(model, metadata={**model.metadata, **_vocabulary(row["n_vocab"])})
    write_sparse(path, model)
    if is_filled:
        _fill(path, model)
    return path


def _vocabulary(n_vocab: int) -> dict[str, Typed]:
    """Bytes and characters as in the tiny models, and numbered words up to the length of the model's own vocabulary."""
    found = {key: value for key, value in tiny_metadata(TinyModel()).items() if key.startswith("tokenizer.")}
    tokens, scores, types = (
        list(found[f"tokenizer.ggml.{name}"].value) for name in ("tokens", "scores", "token_type"))  # type: ignore[call-overload]
    extra = range(n_vocab - len(tokens))
    return found | {
        "tokenizer.ggml.tokens": Typed("arr", [*tokens, *(f"\u2581w{number}" for number in extra)], "str"),
        "tokenizer.ggml.scores": Typed("arr", [*scores, *(-1000.0 - number for number in extra)], "f32"),
        "tokenizer.ggml.token_type": Typed("arr", [*types, *(1 for _ in extra)], "i32"),
    }


def _fill(path: Path, model: SyntheticModel) -> None:
    length = sum(-(-tensor.n_bytes // ALIGNMENT) * ALIGNMENT for tensor in model.tensors)
    offset = path.stat().st_size - length
    tiles: dict[str, bytes] = {}
    with path.open("r+b") as file:
        for tensor in model.tensors:
            file.seek(offset)
            if len(tensor.dimensions) == 1 or tensor.type_name == "I32":
                file.write(_small(tensor))
            else:
                _write_tiled(file, tensor, tiles)
            offset += -(-tensor.n_bytes // ALIGNMENT) * ALIGNMENT


def _small(tensor: SyntheticTensor) -> bytes:
    """Norms are ones, biases and everything else zeros."""
    if tensor.type_name == "F32" and tensor.name.endswith("norm.weight"):
        return np.ones(prod(tensor.dimensions), dtype=np.float32).tobytes()
    return bytes(tensor.n_bytes)


def _write_tiled(file: BinaryIO, tensor: SyntheticTensor, tiles: dict[str, bytes]) -> None:
    kind = tensor.type_name
    tile = tiles.get(kind) or tiles.setdefault(kind, _tile(kind))
    block_bytes = len(tile) // _TILE_BLOCKS
    start = zlib.crc32(tensor.name.encode()) % _TILE_BLOCKS * block_bytes
    left = tensor.n_bytes
    while left > 0:
        piece = memoryview(tile)[start:start + left]
        file.write(piece)
        left -= len(piece)
        start = 0


def _tile(kind: str) -> bytes:
    """Random blocks of a type whose weights are finite, small and of both signs."""
    source = np.random.default_rng(zlib.crc32(kind.encode()))
    if kind in ("F32", "F16", "BF16"):
        values = source.normal(0.0, 0.02, _TILE_BLOCKS * 32).astype(np.float32)
        if kind == "BF16":
            return (values.view(np.uint32) >> 16).astype(np.uint16).tobytes()
        return values.astype(np.float32 if kind == "F32" else _F16).tobytes()
    block_bytes = _block_bytes()[kind]
    blocks = source.integers(0, 256, (_TILE_BLOCKS, block_bytes), dtype=np.uint8)
    if kind == "MXFP4":
        # One exponent for 32 weights of up to 6: two to the power of -8.
        blocks[:, 0] = 127 - 8
    for place, scale in _SCALES.get(kind, {}).items():
        blocks[:, place:place + 2] = np.frombuffer(np.array([scale], dtype=_F16).tobytes(), dtype=np.uint8)
    if kind != "MXFP4" and kind not in _SCALES:
        raise ValueError(f"no random blocks of {kind}")
    return blocks.tobytes()


def _block_bytes() -> Mapping[str, int]:
    from localai_app.gguf.quant_types import QUANT_TYPES_BY_NAME

    return {name: kind.block_bytes for name, kind in QUANT_TYPES_BY_NAME.items()}
