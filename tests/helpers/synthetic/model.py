"""What a synthesised header is made of, and how it is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from localai_app.gguf.quant_types import QUANT_TYPES, QUANT_TYPES_BY_NAME
from tests.helpers.gguf_files import TensorSpec, Typed, encode_gguf
from tests.helpers.synthetic.label_types import tensor_types

Facts = Mapping[str, Any]
"""One row of resources/catalog/sources/models.json."""
Metadata = dict[str, Typed]
Shapes = dict[str, tuple[int, ...]]
"""Tensors by name: their dimensions, innermost first."""
ALIGNMENT = 32
_TYPE_CODES = {quant_type.name: code for code, quant_type in QUANT_TYPES.items()}


@dataclass(frozen=True)
class Blueprint:
    """What a builder decides: metadata of the architecture (keys without its name in front) and the tensors."""

    metadata: Metadata
    shapes: Shapes


Builder = Callable[[Facts], Blueprint]


@dataclass(frozen=True)
class SyntheticTensor:
    """One row of the tensor table."""

    name: str
    dimensions: tuple[int, ...]
    type_name: str

    @property
    def n_bytes(self) -> int:
        """Bytes of the tensor in the file."""
        quant_type = QUANT_TYPES_BY_NAME[self.type_name]
        assert self.dimensions[0] % quant_type.block_elements == 0, self
        return prod(self.dimensions) // quant_type.block_elements * quant_type.block_bytes


@dataclass(frozen=True)
class SyntheticModel:
    """A complete header without a vocabulary."""

    metadata: Metadata
    tensors: tuple[SyntheticTensor, ...]


def assembled(facts: Facts, blueprint: Blueprint, label: str) -> SyntheticModel:
    """The header of a blueprint, every tensor with the type that llama.cpp's quantizer gives it under the label."""
    architecture = facts["gguf_arch"]
    metadata = {
        "general.architecture": Typed("str", architecture),
        "general.name": Typed("str", facts["id"]),
        "general.quantization_version": Typed("u32", 2),
        "tokenizer.ggml.model": Typed("str", "no_vocab"),
        **{f"{architecture}.{key}": value for key, value in blueprint.metadata.items()},
    }
    types = tensor_types(facts, blueprint.shapes, label)
    return SyntheticModel(metadata, tuple(
        SyntheticTensor(name, dimensions, types[name]) for name, dimensions in blueprint.shapes.items()))


def write_sparse(path: Path, model: SyntheticModel) -> Path:
    """Writes the header and makes the file as long as the model without filling it."""
    specs, offset = [], 0
    for tensor in model.tensors:
        specs.append(TensorSpec(tensor.name, tensor.dimensions, _TYPE_CODES[tensor.type_name], b"", offset))
        offset += -(-tensor.n_bytes // ALIGNMENT) * ALIGNMENT
    header = encode_gguf(model.metadata, specs, alignment=ALIGNMENT)
    with path.open("wb") as file:
        file.write(header)
        file.truncate(len(header) + offset)
    return path
