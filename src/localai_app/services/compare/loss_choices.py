"""What losses can be measured of: installed models by family, with what speaks for each as the reference."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from localai_app.compare.loss import LossModel
from localai_app.compare.provenance import Provenance, precision_bits
from localai_app.errors import AppError
from localai_app.services.compare.model_files import ModelFamily, headers_of, provenance_of
from localai_app.services.compare.stored_files import StoredFile, stored_as
from localai_app.services.views import InstalledModel


@dataclass(frozen=True, slots=True)
class LossChoice:
    """One entry of the list of models: a family, or a model of which only one variant is installed."""

    name: str
    models: tuple[InstalledModel, ...]
    """The largest file first."""
    reference_key: str

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of its models."""
        return tuple(model.key for model in self.models)


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What the headers of a model say about its precision and its types."""

    provenance: Provenance
    stored: StoredFile


def loss_choices(models: Sequence[InstalledModel], families: Sequence[ModelFamily]) -> tuple[LossChoice, ...]:
    """Families first, then every other complete model; each by name."""
    known = {model.key: model for model in models if model.is_complete}
    choices, taken = [], set[str]()
    for family in families:
        members = tuple(known[key] for key in family.keys if key in known)
        if len(members) > 1:
            choices.append(LossChoice(plain_name(members[0]), members, family.reference_key))
            taken.update(family.keys)
    single = [LossChoice(plain_name(model), (model,), model.key) for key, model in known.items() if key not in taken]
    return (*sorted(choices, key=_by_name), *sorted(single, key=_by_name))


def file_facts(model: InstalledModel) -> FileFacts | None:
    """Read what a model's headers say; None where they cannot be read. Slow: not in the window's thread."""
    try:
        headers = headers_of(model)
    except AppError:
        return None
    return FileFacts(provenance_of(model, headers), stored_as(headers, model.label))


def reference_words(key: str, facts: Sequence[FileFacts], default_key: str) -> str:
    """Why this file is the reference, or what speaks against it, as a sentence; empty where nothing is known of it."""
    known = {one.provenance.key: one.provenance for one in facts}
    chosen, best = known.get(key), known.get(default_key)
    if chosen is None or not chosen.bits_per_weight:
        return ""
    kept = f"{chosen.bits_per_weight:.1f} bits per weight"
    if chosen.is_requantized:
        kept += f", made from {chosen.source_label}"
    if best is None or key == default_key:
        return f"The most precise of these by what it is made of, not by its size: {kept}."
    if round(precision_bits(chosen), 1) >= round(precision_bits(best), 1):
        return f"{kept[0].upper()}{kept[1:]}, as many as {best.label or best.main_type}."
    return (
        f"{kept[0].upper()}{kept[1:]}. {best.label or best.main_type} has kept more of the original "
        f"({precision_bits(best):.1f} bits per weight).")


def fallback_notes(models: Iterable[LossModel], facts: Mapping[str, FileFacts]) -> tuple[str, ...]:
    """A sentence for the files whose tensors fell back to another type; what holds for several of them is said once."""
    titles: dict[str, list[str]] = {}
    for model in models:
        if model.key in facts and (words := facts[model.key].stored.fallback):
            titles.setdefault(words, []).append(model.title)
    return tuple(f"{', '.join(names)}: {words[0].lower()}{words[1:]}" for words, names in titles.items())


def plain_name(model: InstalledModel) -> str:
    """The name without a label at its end: "SmolLM2-135M-Instruct.Q4_1" is "SmolLM2-135M-Instruct"."""
    place = model.name.upper().rfind(model.label.upper()) if model.label else -1
    return model.name[:place].rstrip(" .-_") or model.name if place > 0 else model.name


def _by_name(choice: LossChoice) -> str:
    return choice.name.lower()
