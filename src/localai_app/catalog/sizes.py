"""Sizes of files that the Hub gave, in place of those that were computed from dimensions."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from localai_app.catalog.model import Catalog, CatalogFile, CatalogModel

Sizes = Mapping[str, int]
"""Bytes by label."""


def with_sizes(catalog: Catalog, sizes: Mapping[str, Sizes]) -> Catalog:
    """The catalog with the sizes of these repositories, which are named in small letters; other files stay as they are."""
    models = tuple(_with_sizes(model, sizes.get(model.repo_id.lower(), {})) for model in catalog.models)
    return msgspec.structs.replace(catalog, models=models)


def _with_sizes(model: CatalogModel, sizes: Sizes) -> CatalogModel:
    if not any(file.label in sizes for file in model.files):
        return model
    files = tuple(
        CatalogFile(label=file.label, size_bytes=sizes[file.label], source="the Hub", is_exact=True)
        if file.label in sizes else file
        for file in model.files)
    return msgspec.structs.replace(model, files=files)
