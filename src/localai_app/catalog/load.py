"""Reads a catalog file, and refuses one that does not hold what it promises."""

from __future__ import annotations

from pathlib import Path

import msgspec

from localai_app.catalog.model import Catalog, CatalogModel
from localai_app.errors import FILE_INVALID, FILE_UNREADABLE, AppError
from localai_app.gguf.geometry import UNKNOWN_BLOCK, Geometry

CATALOG_VERSION = 1
MAX_CATALOG_BYTES = 16 * 1000**2
MAX_MODELS = 2000
MAX_FILES = 100
MAX_TEXT = 2000
TASKS = ("chat", "code", "reasoning", "vision", "languages")
THINKING = ("never", "optional", "always")


def load_catalog(path: Path) -> Catalog:
    """The catalog in a JSON file. Raises `AppError` FILE_UNREADABLE or FILE_INVALID with the place of the fault."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_CATALOG_BYTES + 1)
    except OSError as error:
        raise AppError(FILE_UNREADABLE, detail=str(error), name=path.name, reason=error.strerror or "unknown") from error
    if len(content) > MAX_CATALOG_BYTES:
        raise _invalid(path, "it is larger than 16 MB")
    try:
        catalog = msgspec.json.decode(content, type=Catalog)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _invalid(path, str(error)) from error
    fault = _fault(catalog)
    if fault:
        raise _invalid(path, fault)
    return msgspec.structs.replace(catalog, models=tuple(_with_places(model) for model in catalog.models))


def _invalid(path: Path, reason: str) -> AppError:
    return AppError(FILE_INVALID, name=path.name, kind="catalog", reason=reason[:300])


def _fault(catalog: Catalog) -> str:
    """What is wrong with a catalog whose types are right; "" when nothing is."""
    if catalog.version != CATALOG_VERSION:
        return f"version {catalog.version} is not supported"
    if len(catalog.models) > MAX_MODELS:
        return f"it lists more than {MAX_MODELS} models"
    ids: set[str] = set()
    for model in catalog.models:
        if model.id in ids:
            return f"the model {model.id!r} occurs twice"
        ids.add(model.id)
        if fault := _model_fault(model):
            return f"{fault} - at the model {model.id[:80]!r}"
    return ""


def _model_fault(model: CatalogModel) -> str:
    texts = (model.id, model.name, model.family, model.repo_id, model.summary, model.license, model.publisher)
    checks = (
        (not model.id or not model.name or any(len(text) > MAX_TEXT for text in texts), "a text is missing or too long"),
        (len(model.files) > MAX_FILES, "too many files"),
        (any(file.size_bytes <= 0 or not file.label for file in model.files), "a file has no size or no label"),
        (bool(model.files) and model.repo_id.count("/") != 1, "repo_id is not of the form owner/name"),
        (not 0 <= model.quality <= 100, "quality is not between 0 and 100"),
        (any(not 0 <= known.value <= 100 or known.task not in TASKS for known in model.task_quality),
         "a quality for a task is not between 0 and 100, or its task is not known"),
        (not set(model.tasks) <= set(TASKS), f"tasks are not all of {', '.join(TASKS)}"),
        (model.thinking not in THINKING, f"thinking is none of {', '.join(THINKING)}"),
    )
    return next((words for is_wrong, words in checks if is_wrong), "") or _geometry_fault(model)


def _geometry_fault(model: CatalogModel) -> str:
    geometry = model.geometry
    if geometry is None:
        return ""
    positive = (geometry.n_layer, geometry.n_embd, geometry.n_vocab, geometry.ctx_train, geometry.params_total)
    if min(positive) <= 0 or geometry.n_layer > 512:
        return "a dimension is missing or impossible"
    if len(geometry.cache_layers) > geometry.n_layer:
        return "more layers own a cache than there are"
    if any(layer.k_elements < 0 or layer.v_elements < 0 for layer in geometry.cache_layers):
        return "a cache layer has a negative size"
    return _place_fault(model, geometry)


def _place_fault(model: CatalogModel, geometry: Geometry) -> str:
    owners = (layer.block for layer in geometry.cache_layers if layer.block != UNKNOWN_BLOCK)
    if any(not 0 <= block < geometry.n_layer for block in (*owners, *geometry.recurrent_blocks, *model.expert_blocks)):
        return "a cache, a state or experts belong to a block that does not exist"
    return "a block is named twice" if len(set(model.expert_blocks)) < len(model.expert_blocks) else ""


def _with_places(model: CatalogModel) -> CatalogModel:
    """The model with a block for each cache and for its state, where its file does not name them.

    Hybrid models attend in every k-th block, so their caches are spread evenly; models that share caches own them in their
    first blocks. The state lies in the blocks that own no cache.
    """
    geometry = model.geometry
    if geometry is None:
        return model
    count, blocks = len(geometry.cache_layers), geometry.n_layer
    layers = geometry.cache_layers
    if any(layer.block == UNKNOWN_BLOCK for layer in layers):
        spread = geometry.recurrent_state_bytes > 0 and count < blocks
        places = [(number + 1) * blocks // count - 1 if spread else number for number in range(count)]
        layers = tuple(
            msgspec.structs.replace(layer, block=block) for layer, block in zip(layers, places, strict=True)
        )
    keepers = geometry.recurrent_blocks
    if geometry.recurrent_state_bytes and not keepers:
        owners = {layer.block for layer in layers}
        keepers = tuple(block for block in range(blocks) if block not in owners) or tuple(range(blocks))
    placed = msgspec.structs.replace(geometry, cache_layers=layers, recurrent_blocks=keepers)
    return msgspec.structs.replace(model, geometry=placed)
