"""A copy of a model's header for llama.cpp's dry run: everything but the vocabulary, and a sparse file in place of weights.

Reading a vocabulary of 262,000 tokens takes llama.cpp a second, and no buffer depends on its words, only on their number. With
`tokenizer.ggml.model = "no_vocab"` and `<architecture>.vocab_size` it is content (`llama_vocab::impl::load`).
"""

from __future__ import annotations

import ctypes
import hashlib
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from localai_app.gguf.checks import DEFAULT_ALIGNMENT
from localai_app.gguf.dimensions import vocabulary_size
from localai_app.gguf.header import GgufHeader, Scalar, SkippedArray, TensorInfo, Value, ValueType
from localai_app.gguf.quant_types import QUANT_TYPES
from localai_app.gguf.reader import ARRAY_CODE, STRING_CODE, VALUE_FORMATS
from localai_app.gguf.tensors import PROJECTOR_ARCHITECTURES

_VERSION = 3
_UINT32 = ValueType(4)
_TEXT = ValueType(STRING_CODE)
_TYPE_CODES = {quant_type.name: code for code, quant_type in QUANT_TYPES.items()}
_DROPPED_PREFIXES = ("tokenizer.", "split.", "general.tags", "general.languages", "general.datasets")
_KEPT_KEYS = ("tokenizer.ggml.token_type_count",)
"""Read by llama.cpp although it belongs to the vocabulary: it is a dimension of a tensor (BERT)."""
_FSCTL_SET_SPARSE = 0x900C4


@dataclass(frozen=True, slots=True)
class PlanHeader:
    """The bytes up to the tensor data, and the length that the file must have."""

    data: bytes
    file_size: int
    name: str = ""
    """Of the file that it was made from, for messages."""

    @property
    def sha256(self) -> str:
        """Names the header: equal for every copy of the same model, whatever its files are called."""
        return hashlib.sha256(self.data).hexdigest()


def plan_header(headers: Sequence[GgufHeader]) -> PlanHeader:
    """The header of one file that holds the tensors of all parts and no vocabulary.

    `headers`: the parts in order; projectors among them are left out. Raises `AppError` GGUF_REFUSED.
    """
    first = headers[0]
    parts = [header for header in headers if header.architecture not in PROJECTOR_ARCHITECTURES]
    tensors = [tensor for header in parts for tensor in header.tensors]
    if len({tensor.name for tensor in tensors}) != len(tensors):
        raise first.refused("it repeats a tensor of another part")
    entries = _entries(first)
    alignment = first.alignment or DEFAULT_ALIGNMENT
    table, data_bytes = _table(tensors, alignment)
    keys = b"".join(_text(key) + _typed(value, value_type) for key, (value, value_type) in entries.items())
    head = b"GGUF" + struct.pack("<IQQ", _VERSION, len(tensors), len(entries)) + keys + table
    head += b"\0" * (-len(head) % alignment)
    return PlanHeader(head, len(head) + data_bytes, first.name)


def write_plan_file(path: Path, header: PlanHeader) -> None:
    """Writes the header as a sparse file of the model's full length, which takes a few hundred kB on the disk.

    Raises `OSError`, also on a file system without sparse files that has no room for the whole length.
    """
    with path.open("wb") as file:
        if sys.platform == "win32":
            _make_sparse(file.fileno())
        file.write(header.data)
        file.truncate(header.file_size)


def _entries(header: GgufHeader) -> dict[str, tuple[Value, ValueType]]:
    """What is kept of the metadata, with its types, and the two keys that stand for the vocabulary."""
    entries: dict[str, tuple[Value, ValueType]] = {
        key: (value, header.value_types[key])
        for key, value in header.metadata.items()
        if (key in _KEPT_KEYS or not key.startswith(_DROPPED_PREFIXES))
        and key in header.value_types and not isinstance(value, SkippedArray)
    }
    entries["tokenizer.ggml.model"] = ("no_vocab", _TEXT)
    entries[f"{header.architecture}.vocab_size"] = (vocabulary_size(header), _UINT32)
    return entries


def _table(tensors: Sequence[TensorInfo], alignment: int) -> tuple[bytes, int]:
    """(the tensor table with new offsets, the length of the tensor data)."""
    rows, offset = [], 0
    for tensor in tensors:
        rows.append(
            _text(tensor.name) + struct.pack(f"<I{len(tensor.dimensions)}Q", len(tensor.dimensions), *tensor.dimensions)
            + struct.pack("<IQ", _TYPE_CODES[tensor.quant_type.name], offset))
        offset += -(-tensor.n_bytes // alignment) * alignment
    return b"".join(rows), offset


def _typed(value: Value, value_type: ValueType) -> bytes:
    if not value_type.is_array:
        assert not isinstance(value, (tuple, SkippedArray))
        return struct.pack("<I", value_type.code) + _scalar(value, value_type.code)
    assert isinstance(value, tuple)
    head = struct.pack("<IIQ", ARRAY_CODE, value_type.code, len(value))
    return head + b"".join(_scalar(item, value_type.code) for item in value)


def _scalar(value: Scalar, code: int) -> bytes:
    if code == STRING_CODE:
        return _text(str(value))
    return struct.pack(VALUE_FORMATS[code], value)


def _text(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def _make_sparse(descriptor: int) -> None:
    """NTFS reserves the whole length of a file unless it is told that the file is sparse."""
    if sys.platform == "win32":
        import msvcrt

        returned = ctypes.c_ulong()
        handle = ctypes.c_void_p(msvcrt.get_osfhandle(descriptor))
        ctypes.windll.kernel32.DeviceIoControl(handle, _FSCTL_SET_SPARSE, None, 0, None, 0, ctypes.byref(returned), None)
