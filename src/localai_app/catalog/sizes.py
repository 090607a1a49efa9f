"""Sizes of files that the Hub gave, in place of those that were computed from dimensions."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from localai_app.catalog.model import Catalog, CatalogFile, CatalogModel

Sizes = Mapping[str, int]
"""Bytes by label."""


def with_sizes(catalog: Catalog, sizes: Mapping[str, Sizes]) -> Catalog:
    """The catalog with the sizes of these repositories, which are named in small letters; other files stay as they are.

    So do those whose size would be quite another one: a file of half the size holds another model, or nothing.
    """
    models = tuple(_with_sizes(model, sizes.get(model.repo_id.lower(), {})) for model in catalog.models)
    return msgspec.structs.replace(catalog, models=models)


def _with_sizes(model: CatalogModel, sizes: Sizes) -> CatalogModel:
    files = tuple(_with_size(file, sizes.get(file.label, 0)) for file in model.files)
    return model if files == model.files else msgspec.structs.replace(model, files=files)


def _with_size(file: CatalogFile, size_bytes: int) -> CatalogFile:
    if not file.size_bytes < 2 * size_bytes < 4 * file.size_bytes:
        return file
    return CatalogFile(label=file.label, size_bytes=size_bytes, source="the Hub", is_exact=True)
