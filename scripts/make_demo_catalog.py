"""Writes resources/catalog/demo.json, the catalog of `dev.py demo`, from the headers of the two small real models.

    .venv/bin/python scripts/make_demo_catalog.py FOLDER_WITH_THE_MODELS

Dimensions, sizes and labels come from the files themselves; the words and the estimates of quality stand here.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import msgspec

from localai_app.catalog.model import Catalog, CatalogFile, CatalogModel, CatalogSampling
from localai_app.gguf.dimensions import geometry_of
from localai_app.gguf.geometry import Geometry
from localai_app.gguf.label import label_of_name
from localai_app.gguf.reader import read_header_file

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "resources" / "catalog" / "demo.json"
SMOLLM2 = "SmolLM2-135M-Instruct.Q4_1.gguf"
GEMMA = "gemma-3-270m-Q4_K_M.gguf"


def main() -> int:
    """Make the catalog anew; 2 if the folder is not given."""
    if len(sys.argv) != 2:
        print((__doc__ or "").strip(), file=sys.stderr)
        return 2
    folder = Path(sys.argv[1])
    catalog = Catalog(
        version=1,
        made_from="headers of the two model files of the demo",
        models=(_smollm2(folder / SMOLLM2), _gemma(folder / GEMMA)),
    )
    TARGET.write_text(json.dumps(msgspec.to_builtins(catalog), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0


def _smollm2(path: Path) -> CatalogModel:
    geometry = geometry_of(read_header_file(path))
    return CatalogModel(
        id="smollm2-135m-instruct",
        name="SmolLM2 135M Instruct",
        family="SmolLM",
        publisher="Hugging Face",
        repo_id="local-ai-demo/SmolLM2-135M-Instruct-GGUF",
        license="Apache-2.0",
        gated=False,
        summary="A very small model that answers at once; good for trying things out.",
        tasks=("chat",),
        thinking="never",
        params_total=geometry.params_total,
        params_active=geometry.params_active,
        geometry=geometry,
        files=(_file(path),),
        quality=6.0,
        quality_is_estimated=True,
        quality_source=_estimate(geometry),
        sampling=CatalogSampling(temperature=0.7, top_p=0.95),
        sampling_source="default of Unsloth's inference_defaults.json",
        tied_embeddings=True,
    )


def _gemma(path: Path) -> CatalogModel:
    geometry = geometry_of(read_header_file(path))
    return CatalogModel(
        id="gemma-3-270m",
        name="Gemma 3 270M",
        family="Gemma 3",
        publisher="Google",
        repo_id="local-ai-demo/gemma-3-270m-GGUF",
        license="Gemma Terms of Use",
        gated=False,
        summary="A small base model: it continues a text instead of chatting.",
        tasks=(),
        thinking="never",
        params_total=geometry.params_total,
        params_active=geometry.params_active,
        geometry=geometry,
        files=(_file(path),),
        quality=4.0,
        quality_is_estimated=True,
        quality_source=_estimate(geometry),
        sampling=CatalogSampling(temperature=1.0, top_p=0.95, top_k=64, min_p=0.0),
        sampling_source="Unsloth's inference_defaults.json; the same as Ollama's parameters for Gemma",
        is_base=True,
        tied_embeddings=True,
    )


def _file(path: Path) -> CatalogFile:
    return CatalogFile(
        label=label_of_name(path.name), size_bytes=path.stat().st_size, source=f"size of {path.name}", is_exact=True
    )


def _estimate(geometry: Geometry) -> str:
    return f"estimated from the family and {geometry.params_total / 1e6:.0f} million parameters; no published score"


if __name__ == "__main__":
    sys.exit(main())
