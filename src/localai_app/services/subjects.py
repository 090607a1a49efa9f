"""Subjects of `fit` from headers and from the catalog."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from localai_app import errors
from localai_app.catalog.model import CatalogFile, CatalogModel
from localai_app.catalog.subject import catalog_weights
from localai_app.errors import AppError
from localai_app.fit.result import Basis, Subject
from localai_app.gguf.dimensions import geometry_of
from localai_app.gguf.geometry import Weights
from localai_app.gguf.header import GgufHeader
from localai_app.gguf.label import label_of_name
from localai_app.gguf.tensors import weights_of
from localai_app.hub.model import Repo, Variant
from localai_app.services.views import InstalledModel


def catalog_subject(model: CatalogModel, file: CatalogFile) -> Subject:
    """A catalog entry; AppError if its dimensions are unknown."""
    if model.geometry is None:
        raise AppError(errors.FILE_INVALID, name=model.name, kind="catalog", reason="its dimensions are not known")
    return Subject(
        name=f"{model.name} {file.label}", geometry=model.geometry, weights=catalog_weights(model, file),
        basis=Basis.CATALOG, label=file.label, key=f"{model.repo_id}:{file.label}")


def installed_subject(model: InstalledModel, headers: Sequence[GgufHeader]) -> Subject:
    """A model on this disk."""
    return _subject(f"{model.name} {model.label}".strip(), headers, model.label, model.key, model.paths[0])


def remote_subject(repo: Repo, variant: Variant, headers: Sequence[GgufHeader]) -> Subject:
    """A variant on the Hub."""
    key = f"{repo.repo_id}:{variant.label}"
    return _subject(f"{repo.repo_id.split('/')[-1]} {variant.label}", headers, variant.label, key, None)


def _subject(name: str, headers: Sequence[GgufHeader], label: str, key: str, path: Path | None) -> Subject:
    return Subject(
        name=name, geometry=geometry_of(headers[0], headers[1:]), weights=weights_of(headers), basis=Basis.HEADER,
        label=label or label_of_name(path.name if path else name), model_path=str(path) if path else "",
        key=key)


def scaled_subject(base: Subject, variant: Variant) -> Subject:
    """A sister variant: same dimensions, weights in proportion to its size on the Hub."""
    weights = base.weights
    factor = variant.size_bytes / max(1, weights.file_bytes - weights.projector_bytes)
    return msgspec.structs.replace(
        base, label=variant.label, basis=Basis.CATALOG, key=f"{base.key.rpartition(':')[0]}:{variant.label}",
        name=base.name.rsplit(" ", 1)[0] + f" {variant.label}",
        weights=Weights(
            layers_bytes=tuple(round(size * factor) for size in weights.layers_bytes),
            layers_expert_bytes=tuple(round(size * factor) for size in weights.layers_expert_bytes),
            output_bytes=round(weights.output_bytes * factor), input_bytes=round(weights.input_bytes * factor),
            tied_embeddings=weights.tied_embeddings, projector_bytes=weights.projector_bytes))
