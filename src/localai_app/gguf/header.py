"""What the header of a GGUF file says, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from localai_app.errors import GGUF_REFUSED, AppError
from localai_app.gguf.quant_types import QuantType

Scalar = int | float | bool | str


@dataclass(frozen=True, slots=True)
class SkippedArray:
    """An array that was walked over and not kept: its element type ("string", "float32" ...) and length."""

    element_type: str
    count: int


@dataclass(frozen=True, slots=True)
class ValueType:
    """The number of a value's type in the file; of its elements' type where `is_array`."""

    code: int
    is_array: bool = False


Value = Scalar | tuple[Scalar, ...] | SkippedArray


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One row of the tensor table. `dimensions` is innermost first; `offset` counts from the start of the data."""

    name: str
    quant_type: QuantType
    dimensions: tuple[int, ...]
    offset: int
    n_elements: int
    n_bytes: int


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """Metadata and tensor table of one GGUF file (one part of a split model)."""

    name: str
    file_size: int
    version: int
    metadata: dict[str, Value]
    tensors: tuple[TensorInfo, ...]
    alignment: int
    header_bytes: int
    """Where the tensor table ends."""
    data_start: int
    """Where the tensor data begins (the header's end, aligned)."""
    value_types: Mapping[str, ValueType] = field(default_factory=dict)
    """How each value of the metadata is stored in the file."""

    @property
    def architecture(self) -> str:
        """`general.architecture`: "llama", "gemma3", "clip" (a projector) ...; "" where the header has none."""
        value = self.metadata.get("general.architecture", "")
        return value if isinstance(value, str) else ""

    @property
    def model_name(self) -> str:
        """`general.name`, or ""."""
        value = self.metadata.get("general.name", "")
        return value if isinstance(value, str) else ""

    @property
    def chat_template(self) -> str:
        """The model's chat template, or "" (a base model has none)."""
        value = self.metadata.get("tokenizer.chat_template", "")
        return value if isinstance(value, str) else ""

    def text(self, key: str, default: str = "") -> str:
        """A string of the metadata under its full key."""
        value = self.metadata.get(key, default)
        return value if isinstance(value, str) else default

    def integer(self, key: str, default: int = 0) -> int:
        """A whole number under `<architecture>.<key>`; raises `AppError` GGUF_REFUSED for any other type."""
        value = self.metadata.get(f"{self.architecture}.{key}", default)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise self.refused(f"“{key}” is not a whole number")
        return value

    def integers(self, key: str, n: int, default: int = 0) -> tuple[int, ...]:
        """`n` whole numbers under `<architecture>.<key>`: an array of at least `n`, or one number for all."""
        value = self.metadata.get(f"{self.architecture}.{key}", default)
        if not isinstance(value, tuple):
            return (self.integer(key, default),) * n
        if len(value) < n or any(isinstance(item, (str, float)) or item < 0 for item in value):
            raise self.refused(f"“{key}” does not hold {n} whole numbers")
        return tuple(int(item) for item in value[:n])

    def refused(self, reason: str) -> AppError:
        """The error for a header that cannot be used, in words."""
        return AppError(GGUF_REFUSED, name=self.name, reason=reason)
