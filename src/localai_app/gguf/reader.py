"""A bounded reader of GGUF headers: it never trusts a length, and it fails only with `AppError`.

Format: docs/gguf.md of the ggml project. Limits: a header of at most 64 MB, 100,000 keys and as many tensors, strings
of at most 16 MB, no nested arrays, at most 4 dimensions. Everything that llama.cpp would only notice by an assertion
(its process dies) is refused here first.
"""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

from localai_app.errors import (
    GGUF_REFUSED,
    GGUF_TRUNCATED,
    MODEL_FILE_MISSING,
    MODEL_FILE_UNREADABLE,
    NOT_A_GGUF,
    AppError,
)
from localai_app.gguf.checks import check_metadata, check_tensors
from localai_app.gguf.cursor import Cursor, RefusedError, TruncatedError
from localai_app.gguf.header import GgufHeader, Scalar, SkippedArray, TensorInfo, Value, ValueType
from localai_app.gguf.quant_types import QUANT_TYPES

MAX_KEYS = 100_000
MAX_TENSORS = 100_000
MAX_DIMENSIONS = 4
MAX_KEPT_NUMBERS = 1024
"""Longest array of numbers that is kept: per-layer dimensions have at most 512 entries, token scores are skipped."""
MAX_KEPT_STRINGS = 64
_MAX_ELEMENTS = 2**63 - 1
STRING_CODE, ARRAY_CODE, _BOOL = 8, 9, 7
_TYPE_NAMES = (
    "uint8",
    "int8",
    "uint16",
    "int16",
    "uint32",
    "int32",
    "float32",
    "bool",
    "string",
    "array",
    "uint64",
    "int64",
    "float64",
)
VALUE_FORMATS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<B", 10: "<Q", 11: "<q", 12: "<d"}

ReadRange = Callable[[int, int], bytes]


def read_header_file(path: Path) -> GgufHeader:
    """The header of a file on disk.

    Raises `AppError` MODEL_FILE_MISSING, MODEL_FILE_UNREADABLE, NOT_A_GGUF, GGUF_TRUNCATED or GGUF_REFUSED. Only
    regular files are opened: a pipe would block.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise AppError(NOT_A_GGUF, name=path.name)
        with path.open("rb") as file:

            def read_range(offset: int, n: int) -> bytes:
                file.seek(offset)
                return file.read(n)

            return read_header(read_range, status.st_size, path.name)
    except FileNotFoundError as error:
        raise AppError(MODEL_FILE_MISSING, detail=str(error), name=path.name) from error
    except (OSError, ValueError) as error:
        raise AppError(MODEL_FILE_UNREADABLE, detail=str(error), name=path.name) from error


def read_header(read_range: ReadRange, file_size: int, name: str) -> GgufHeader:
    """The header of the GGUF whose bytes `read_range(offset, n)` returns; `file_size` is that of this part.

    Reads in steps of 2 MB from the start, no further than the header. Raises `AppError` NOT_A_GGUF, GGUF_TRUNCATED or
    GGUF_REFUSED with words, and passes on what `read_range` raises.
    """
    cursor = Cursor(read_range, file_size)
    if cursor.peek(4) != b"GGUF":
        raise AppError(NOT_A_GGUF, name=name)
    try:
        return _read(cursor, file_size, name)
    except TruncatedError as error:
        raise AppError(GGUF_TRUNCATED, name=name, where=error.where) from error
    except RefusedError as error:
        raise AppError(GGUF_REFUSED, name=name, reason=error.reason) from error


def _read(cursor: Cursor, file_size: int, name: str) -> GgufHeader:
    cursor.where = "its first bytes"
    cursor.skip(4)
    version = cursor.number("<I")
    if version & 0xFFFF == 0 and version != 0:
        raise RefusedError("it is written for big-endian computers")
    if version not in (2, 3):
        raise RefusedError(f"its format version {version} is not supported")
    n_tensors = cursor.count(MAX_TENSORS, "tensors")
    n_keys = cursor.count(MAX_KEYS, "keys")
    cursor.where = "its metadata"
    metadata, value_types = _read_metadata(cursor, n_keys)
    alignment = check_metadata(metadata)
    cursor.where = "its tensor table"
    tensors = _read_tensors(cursor, n_tensors)
    header_bytes = cursor.position
    data_start = -(-header_bytes // alignment) * alignment
    cursor.where = "its tensor data"
    check_tensors(tensors, alignment, file_size - data_start)
    return GgufHeader(
        name, file_size, version, metadata, tensors, alignment, header_bytes, data_start, value_types=value_types)


def _read_metadata(cursor: Cursor, n_keys: int) -> tuple[dict[str, Value], dict[str, ValueType]]:
    metadata: dict[str, Value] = {}
    value_types: dict[str, ValueType] = {}
    for _ in range(n_keys):
        key = cursor.name("a key")
        if key in metadata:
            raise RefusedError(f"the key “{_shown(key)}” occurs twice")
        value_type = cursor.number("<I")
        if value_type == ARRAY_CODE:
            value_types[key] = ValueType(cursor.number("<I"), is_array=True)
            metadata[key] = _read_array(cursor, value_types[key].code, key)
        else:
            value_types[key] = ValueType(value_type)
            metadata[key] = _read_scalar(cursor, value_type, key)
    return metadata, value_types


def _read_scalar(cursor: Cursor, value_type: int, key: str) -> Scalar:
    if value_type == STRING_CODE:
        return cursor.text()
    code = VALUE_FORMATS.get(value_type)
    if code is None:
        raise RefusedError(f"the key “{_shown(key)}” has the unknown type {value_type}")
    value = cursor.float_number(code) if code in ("<f", "<d") else cursor.number(code)
    return bool(value) if value_type == _BOOL else value


def _read_array(cursor: Cursor, element_type: int, key: str) -> Value:
    if element_type == ARRAY_CODE:
        raise RefusedError(f"the key “{_shown(key)}” holds an array of arrays")
    if element_type != STRING_CODE and element_type not in VALUE_FORMATS:
        raise RefusedError(f"the key “{_shown(key)}” has the unknown type {element_type}")
    count = cursor.number("<Q")
    limit = MAX_KEPT_STRINGS if element_type == STRING_CODE else MAX_KEPT_NUMBERS
    if count <= limit:
        return tuple(_read_scalar(cursor, element_type, key) for _ in range(count))
    if element_type == STRING_CODE:
        cursor.skip_strings(count)
    else:
        cursor.skip(count * cursor.size_of(VALUE_FORMATS[element_type]))
    return SkippedArray(_TYPE_NAMES[element_type], count)


def _read_tensors(cursor: Cursor, n_tensors: int) -> tuple[TensorInfo, ...]:
    tensors: dict[str, TensorInfo] = {}
    for _ in range(n_tensors):
        name = cursor.name("a tensor")
        if name in tensors:
            raise RefusedError(f"the tensor “{_shown(name)}” occurs twice")
        tensors[name] = _read_tensor(cursor, name)
    return tuple(tensors.values())


def _read_tensor(cursor: Cursor, name: str) -> TensorInfo:
    n_dimensions = cursor.number("<I")
    if n_dimensions > MAX_DIMENSIONS:
        raise RefusedError(f"the tensor “{_shown(name)}” has {n_dimensions} dimensions")
    dimensions = tuple(cursor.number("<Q") for _ in range(n_dimensions))
    quant_type = QUANT_TYPES.get(type_code := cursor.number("<I"))
    offset = cursor.number("<Q")
    if quant_type is None:
        raise RefusedError(f"the tensor “{_shown(name)}” has the unknown type {type_code}")
    n_elements = 1
    for length in dimensions:
        n_elements *= length
        if not 0 < n_elements <= _MAX_ELEMENTS:
            raise RefusedError(f"the tensor “{_shown(name)}” has an impossible size")
    if (dimensions[0] if dimensions else 1) % quant_type.block_elements:
        raise RefusedError(f"the rows of the tensor “{_shown(name)}” do not fill whole blocks of {quant_type.name}")
    n_bytes = n_elements // quant_type.block_elements * quant_type.block_bytes
    return TensorInfo(name, quant_type, dimensions, offset, n_elements, n_bytes)


def _shown(text: str) -> str:
    """A name from the file as it may appear in a message: short and printable."""
    shown = "".join(character if character.isprintable() else "?" for character in text[:60])
    return shown + "…" if len(text) > 60 else shown
