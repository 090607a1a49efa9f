"""One language model of the catalog, as data with its sources."""

from __future__ import annotations

import msgspec

from localai_app.gguf.geometry import Geometry


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """A published benchmark score in percent, or an estimate (`source` says from what)."""

    benchmark: str
    score: float
    source: str


class TaskQuality(msgspec.Struct, frozen=True, kw_only=True):
    """How good a model is at one task, 0 to 100 on the scale of the overall quality."""

    task: str
    value: float
    is_estimated: bool
    source: str


class CatalogFile(msgspec.Struct, frozen=True, kw_only=True):
    """A known variant: label, size of all its files in bytes, and where the figure comes from.

    `is_exact` False: computed from parameters and bits per weight, shown as "about"."""

    label: str
    size_bytes: int
    source: str
    is_exact: bool = False


class CatalogSampling(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a model is best sampled; None: nothing is recommended."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    presence_penalty: float | None = None

    def numbers(self) -> dict[str, float]:
        """What is recommended, by the keys of `engine.sampling`."""
        return {key: value for key, value in msgspec.structs.asdict(self).items() if value is not None}


class CatalogModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model that the program can suggest without asking the Hub."""

    id: str
    name: str
    family: str
    publisher: str
    repo_id: str
    """Hub repository with GGUF files, owner/name; "" where none is known (then there are no files either)."""
    license: str
    gated: bool
    summary: str
    """What it is good at, one plain line."""
    tasks: tuple[str, ...]
    """Of: chat, code, reasoning, vision, languages."""
    thinking: str
    """never, optional or always."""
    params_total: int
    """As published, or computed from the dimensions; 0 where it is not known."""
    params_active: int
    """Weights of one token as published: without the token table, which is looked up."""
    geometry: Geometry | None
    """None where the dimensions are not known: listed, but never suggested."""
    files: tuple[CatalogFile, ...]
    quality: float
    """0 to 100, one scale for all models; see quality_is_estimated."""
    quality_is_estimated: bool
    quality_source: str
    task_quality: tuple[TaskQuality, ...] = ()
    """By task; chat is the overall quality. No entry: not known for it, or it cannot do it at all."""
    scores: tuple[Score, ...] = ()
    sampling: CatalogSampling = CatalogSampling()
    """As the model answers by itself."""
    sampling_without_thinking: CatalogSampling | None = None
    """For a model that thinks unless it is told not to; None: the same."""
    sampling_source: str = ""
    sampling_confirmed: bool = False
    """Whether the figures were read in the vendor's own words; else they are others' usual values for this model."""
    is_base: bool = False
    """A base model: it continues text and does not chat."""
    tied_embeddings: bool = False
    """The output head is the token table itself."""
    per_layer_embedding_params: int = 0
    """Weights of per-layer embeddings (Gemma 3n, Gemma 4 E): looked up, always in main memory."""
    expert_blocks: tuple[int, ...] = ()
    """The blocks that hold the routed experts of a mixture; empty: all of them."""

    def quality_for(self, task: str) -> TaskQuality:
        """The quality for a task; for chat the overall one, which is also the estimate where nothing else is known."""
        if task == "chat":
            return TaskQuality(
                task=task, value=self.quality, is_estimated=self.quality_is_estimated, source=self.quality_source)
        own = next((known for known in self.task_quality if known.task == task), None)
        return own or TaskQuality(task=task, value=self.quality, is_estimated=True, source="estimated: its overall quality")


class Catalog(msgspec.Struct, frozen=True, kw_only=True):
    """A catalog file: resources/catalog/models.json, or what `--catalog FILE` names."""

    version: int
    made_from: str
    models: tuple[CatalogModel, ...]
