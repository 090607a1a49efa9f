"""A header in a few kilobytes, for keeping: everything that `read_header` found, without the arrays that it skipped."""

from __future__ import annotations

import hashlib
import zlib

import msgspec

from localai_app.gguf.header import GgufHeader, Scalar, SkippedArray, TensorInfo, ValueType
from localai_app.gguf.quant_types import QUANT_TYPES

_FORMAT = b"LAH1"
_DIGEST_BYTES = 16
_LONGEST = 64 * 1000**2
_TYPE_CODES = {quant_type.name: code for code, quant_type in QUANT_TYPES.items()}


class _Tensor(msgspec.Struct, frozen=True, array_like=True):
    name: str
    type_code: int
    dimensions: tuple[int, ...]
    offset: int
    n_elements: int


class _Header(msgspec.Struct, frozen=True):
    name: str
    file_size: int
    version: int
    alignment: int
    header_bytes: int
    data_start: int
    metadata: dict[str, int | float | bool | str | tuple[Scalar, ...] | SkippedArray]
    value_types: dict[str, ValueType]
    tensors: tuple[_Tensor, ...]


def pack_header(header: GgufHeader) -> bytes:
    """The header as bytes with a checksum."""
    packed = _Header(
        name=header.name, file_size=header.file_size, version=header.version, alignment=header.alignment,
        header_bytes=header.header_bytes, data_start=header.data_start, metadata=header.metadata,
        value_types=dict(header.value_types),
        tensors=tuple(
            _Tensor(one.name, _TYPE_CODES[one.quant_type.name], one.dimensions, one.offset, one.n_elements)
            for one in header.tensors))
    body = zlib.compress(msgspec.msgpack.encode(packed), 1)
    return _FORMAT + _digest(body) + body


def unpack_header(data: bytes) -> GgufHeader:
    """The header that was packed; raises `ValueError` for anything else, damaged bytes included."""
    start = len(_FORMAT) + _DIGEST_BYTES
    body = data[start:]
    if data[: len(_FORMAT)] != _FORMAT or data[len(_FORMAT) : start] != _digest(body):
        raise ValueError("no packed header, or a damaged one")
    try:
        packed = msgspec.msgpack.decode(zlib.decompressobj().decompress(body, _LONGEST), type=_Header)
        tensors = tuple(_tensor(one) for one in packed.tensors)
    except (zlib.error, msgspec.MsgspecError, KeyError) as error:
        raise ValueError("a packed header of another form") from error
    return GgufHeader(
        packed.name, packed.file_size, packed.version, packed.metadata, tensors, packed.alignment, packed.header_bytes,
        packed.data_start, value_types=packed.value_types)


def _tensor(packed: _Tensor) -> TensorInfo:
    quant_type = QUANT_TYPES[packed.type_code]
    n_bytes = packed.n_elements // quant_type.block_elements * quant_type.block_bytes
    return TensorInfo(packed.name, quant_type, packed.dimensions, packed.offset, packed.n_elements, n_bytes)


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_DIGEST_BYTES).digest()
