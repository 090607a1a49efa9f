"""What the headers of installed models say about where they come from: which belong together, which is nearest the original."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from localai_app.compare.provenance import Provenance, default_reference
from localai_app.engine.quantizing import FROM_BITS_KEY, FROM_LABEL_KEY
from localai_app.errors import AppError
from localai_app.gguf.header import GgufHeader, SkippedArray, TensorInfo
from localai_app.gguf.reader import read_header_file
from localai_app.services.views import InstalledModel

_IMPORTANCE_KEY = "quantize.imatrix.file"
"""Written by llama.cpp's own quantizer where it was given an importance matrix."""


@dataclass(frozen=True, slots=True)
class ModelFamily:
    """Installed variants of one model."""

    name: str
    keys: tuple[str, ...]
    """The largest file first."""
    reference_key: str
    """The one to measure the others against, unless the user chooses another."""


def headers_of(model: InstalledModel) -> tuple[GgufHeader, ...]:
    """The headers of all parts; AppError where one cannot be read."""
    return tuple(read_header_file(path) for path in model.paths)


def provenance_of(model: InstalledModel, headers: Sequence[GgufHeader]) -> Provenance:
    """What name and headers say about a model's precision."""
    weights = [tensor for header in headers for tensor in header.tensors if _is_matrix(tensor)]
    n_weights = sum(tensor.n_elements for tensor in weights)
    by_type: dict[str, int] = {}
    for tensor in weights:
        by_type[tensor.quant_type.name] = by_type.get(tensor.quant_type.name, 0) + tensor.n_elements
    return Provenance(
        key=model.key, label=model.label,
        bits_per_weight=8 * sum(tensor.n_bytes for tensor in weights) / n_weights if n_weights else 0.0,
        main_type=max(by_type, key=lambda name: by_type[name], default=""),
        source_label=headers[0].text(FROM_LABEL_KEY), source_bits_per_weight=_number(headers[0].text(FROM_BITS_KEY)),
        has_importance_matrix=bool(headers[0].text(_IMPORTANCE_KEY)), size_bytes=model.size_bytes)


def families_of(models: Sequence[InstalledModel]) -> tuple[ModelFamily, ...]:
    """The models of which more than one variant is installed, by name. Files whose header cannot be read are left out."""
    groups: dict[tuple[object, ...], list[tuple[InstalledModel, Provenance]]] = {}
    for model in models:
        try:
            headers = headers_of(model) if model.is_complete else ()
        except AppError:
            continue
        if headers:
            groups.setdefault(_likeness(headers[0], model), []).append((model, provenance_of(model, headers)))
    families = []
    for members in groups.values():
        if len(members) > 1:
            members.sort(key=lambda member: (-member[0].size_bytes, member[0].key))
            families.append(ModelFamily(
                members[0][0].name, tuple(model.key for model, _provenance in members),
                default_reference([provenance for _model, provenance in members])))
    return tuple(sorted(families, key=lambda family: family.name.lower()))


def _likeness(header: GgufHeader, model: InstalledModel) -> tuple[object, ...]:
    """What all variants of a model have in common, and other models, fine-tunes included, do not."""
    tokens = header.metadata.get("tokenizer.ggml.tokens")
    return (
        header.architecture, header.metadata.get(f"{header.architecture}.block_count"),
        header.metadata.get(f"{header.architecture}.embedding_length"),
        tokens.count if isinstance(tokens, SkippedArray) else 0, header.model_name.lower() or model.name.lower())


def _is_matrix(tensor: TensorInfo) -> bool:
    return sum(length > 1 for length in tensor.dimensions) > 1


def _number(text: str) -> float:
    try:
        return max(0.0, float(text))
    except ValueError:
        return 0.0
