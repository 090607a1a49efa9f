"""How installed models are best sampled: by the model's own file, or else by the catalog."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from localai_app.catalog.model import Catalog, CatalogModel
from localai_app.engine.sampling import SPEC_OF
from localai_app.engine.sampling_values import known_numbers
from localai_app.errors import AppError
from localai_app.gguf.header import GgufHeader
from localai_app.gguf.label import label_of_name
from localai_app.gguf.reader import read_header_file
from localai_app.services.views import InstalledModel

FILE_KEYS = {
    "temp": "temperature", "top_k": "top_k", "top_p": "top_p", "min_p": "min_p", "xtc_probability": "xtc_probability",
    "xtc_threshold": "xtc_threshold", "penalty_last_n": "penalty_window", "penalty_repeat": "repeat_penalty",
    "mirostat": "mirostat", "mirostat_tau": "mirostat_tau", "mirostat_eta": "mirostat_eta",
}
"""What stands behind `general.sampling.` in a GGUF file (llama.cpp's `LLM_KV_GENERAL_SAMPLING_*`), and our names for it."""
OFF = "off"
"""The choice about thinking under which a model does not think."""
_PLAIN = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Recommendation:
    """Numbers by the key of their `SamplingSpec`, in words who says so, and where that was read."""

    numbers: Mapping[str, float]
    words: str
    source: str = ""


class VendorSampling:
    """Looks recommendations up; files are read once and remembered while they do not change."""

    def __init__(self, catalog: Catalog) -> None:
        self._by_repo = {model.repo_id.lower(): model for model in catalog.models if model.repo_id}
        self._by_name: dict[str, CatalogModel] = {}
        for model in catalog.models:
            for name in (model.id, model.name, model.repo_id.rpartition("/")[2]):
                if name:
                    self._by_name.setdefault(plain_name(name), model)
        self._lock = threading.Lock()
        self._of_file: dict[tuple[Path, float], dict[str, float]] = {}

    def of(self, model: InstalledModel, thinking: str | None = None) -> Recommendation | None:
        """What is recommended for a model; None where nothing is. `thinking`: the choice about it, None: none.

        Reads the header of a file that it has not seen, which may take a second.
        """
        in_file = self._numbers_in_file(model.paths[0])
        if in_file:
            return Recommendation(in_file, "Recommended in the model's file")
        known = self.catalog_model(model)
        if known is None:
            return None
        sampling = known.sampling
        if thinking == OFF and known.sampling_without_thinking is not None:
            sampling = known.sampling_without_thinking
        numbers = known_numbers(sampling.numbers())
        if not numbers:
            return None
        words = f"Recommended by {known.publisher}" if known.sampling_confirmed else "Usual for this model"
        return Recommendation(numbers, words, known.sampling_source)

    def catalog_model(self, model: InstalledModel) -> CatalogModel | None:
        """The entry of the catalog that an installed model is a variant of, by its repository or by its name."""
        if model.repo_id.lower() in self._by_repo:
            return self._by_repo[model.repo_id.lower()]
        names = (model.repo_id.rpartition("/")[2], model.paths[0].name, model.name)
        plain = [plain_name(name) for name in names]
        # Uploaders put the vendor in front: Meta-Llama-3.1-8B, google_gemma-3-4b-it.
        plain += [name.partition("-")[2] for name in plain]
        return next((self._by_name[name] for name in plain if name in self._by_name), None)

    def _numbers_in_file(self, path: Path) -> dict[str, float]:
        try:
            key = (path, path.stat().st_mtime)
            with self._lock:
                if key in self._of_file:
                    return self._of_file[key]
            found = sampling_in_header(read_header_file(path))
        except (AppError, OSError):
            return {}
        with self._lock:
            self._of_file[key] = found
        return found


def sampling_in_header(header: GgufHeader) -> dict[str, float]:
    """What a file says about sampling it, by the keys of `engine.sampling`; what is out of range is left out."""
    found: dict[str, float] = {}
    for theirs, ours in FILE_KEYS.items():
        value = header.metadata.get(f"general.sampling.{theirs}")
        if isinstance(value, int | float) and not isinstance(value, bool) and not SPEC_OF[ours].problem(value):
            # Stored as float32, so 0.95 comes back as 0.949999988.
            found[ours] = SPEC_OF[ours].typed(round(value, 6))
    return found


def plain_name(name: str) -> str:
    """A model's name without what differs between files of one model: label, ending, and how words are parted."""
    stem = name.removesuffix(".gguf")
    label = label_of_name(stem)
    if label:
        stem = re.sub(re.escape(label), "", stem, flags=re.IGNORECASE)
    words = [word for word in _PLAIN.split(stem.lower()) if word]
    while words and words[-1] == "gguf":
        words.pop()
    return "-".join(words)
