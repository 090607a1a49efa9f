"""Makes resources/catalog/models.json from resources/catalog/sources/models.json, with the sizes of file_sizes.json.

python scripts/make_catalog.py           writes it
python scripts/make_catalog.py --check   fails when the committed file is not what the sources give
"""

from __future__ import annotations

import argparse
import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from catalog_geometry import expert_blocks, geometry_of_facts, per_layer_embedding_params
from catalog_quality import Quality, qualities
from catalog_tasks import task_qualities
from catalog_words import publisher_of, summary_of, tasks_of, thinking_of

from localai_app.catalog.load import CATALOG_VERSION
from localai_app.catalog.model import Catalog, CatalogFile, CatalogModel, CatalogSampling, Score, TaskQuality
from localai_app.catalog.subject import estimated_file_bytes

Facts = dict[str, Any]
FOLDER = Path(__file__).resolve().parents[1] / "resources" / "catalog"
SIZES = FOLDER / "sources" / "file_sizes.json"
SOURCE, TARGET = FOLDER / "sources" / "models.json", FOLDER / "models.json"
LABELS = ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "IQ4_XS", "Q3_K_M", "Q2_K")
LABELS_BY_OWNER = {"ggml-org": ("Q8_0", "Q4_K_M"), "LiquidAI": ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M")}
"""Uploaders who publish fewer labels as a rule; the Hub is asked before anything is fetched."""
PREFERRED_OWNERS = ("unsloth", "bartowski")
"""Uploaders who publish the whole ladder of labels; others often have one or two."""
USUAL_LABEL, LIKE_USUAL = "Q4_K_M", ("Q5_K_M", "IQ4_XS", "Q3_K_M", "Q2_K")
"""The label whose exact size is known most often, and the other mixes of types, which an uploader changes in the same way."""
GIB = 1024**3
KNOWN_GIB = {
    ("qwen3-32b", "Q4_K_M"): 18.4,
    ("deepseek-r1-distill-llama-70b", "Q4_K_M"): 39.6,
    ("llama-3.1-70b-instruct", "Q4_K_M"): 39.6,
    ("llama-3.3-70b-instruct", "Q4_K_M"): 39.6,
    ("qwen3-coder-30b-a3b-instruct", "Q4_K_M"): 17.3,
    ("deepseek-r1-0528", "Q4_K_M"): 377.1,
    ("gpt-oss-120b", "MXFP4"): 59.0,
    ("mistral-small-4-119b-2603", "Q4_K_M"): 67.6,
    ("mistral-large-3-675b", "Q4_K_M"): 379.0,
}
"""Sizes on the Hub as listed in October 2026, in GiB with one decimal; hence never called exact."""


def main() -> int:
    """Writes the catalog, or compares it with `--check` (exit 1 when it differs)."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    wants_check = parser.parse_args().check
    content = encode(make_catalog(json.loads(SOURCE.read_text(encoding="utf-8"))))
    if not wants_check:
        TARGET.write_bytes(content)
        return 0
    if TARGET.is_file() and TARGET.read_bytes() == content:
        return 0
    print(f"{TARGET.name} is not what the sources give: run scripts/make_catalog.py", file=sys.stderr)
    return 1


def make_catalog(models: list[Facts]) -> Catalog:
    """The catalog of all models of the sources, in their order."""
    spell_out_sources(models)
    quality, by_task = qualities(models), task_qualities(models)
    return Catalog(
        version=CATALOG_VERSION,
        made_from="resources/catalog/sources/models.json by scripts/make_catalog.py",
        models=tuple(_model(facts, quality[facts["id"]], by_task[facts["id"]]) for facts in models),
    )


def spell_out_sources(models: list[Facts]) -> None:
    """Gives every score that says "same" the source of the score before it, in the order of the list."""
    source = ""
    for facts in models:
        for row in facts["benchmarks"] or ():
            if row["source"] == "same":
                row["source"] = source
            source = row["source"]


def encode(catalog: Catalog) -> bytes:
    """JSON with one model per line, so that a change shows as one."""
    lines = b",\n".join(msgspec.json.encode(_without_defaults(model)) for model in catalog.models)
    head = msgspec.json.encode({"version": catalog.version, "made_from": catalog.made_from})[:-1]
    return head + b',"models":[\n' + lines + b"\n]}\n"


def _without_defaults(model: CatalogModel) -> dict[str, Any]:
    values: dict[str, Any] = msgspec.to_builtins(model)
    defaults = {field.name: field.default for field in msgspec.structs.fields(CatalogModel) if not field.required}
    return {key: value for key, value in values.items() if key not in defaults or value not in (defaults[key], [])}


def _model(facts: Facts, quality: Quality, by_task: dict[str, Quality]) -> CatalogModel:
    geometry = geometry_of_facts(facts)
    sampling = facts["sampling"] or {}
    total = facts["params_total"] or 0
    model = CatalogModel(
        id=facts["id"],
        name=facts["name"],
        family=facts["family"],
        publisher=publisher_of(facts),
        repo_id=_repo(facts),
        license=facts["license"] or "not stated",
        gated=bool(facts["gated"]),
        summary=summary_of(facts),
        tasks=tasks_of(facts),
        thinking=thinking_of(facts),
        params_total=total,
        params_active=facts["params_active"] or (geometry.params_active if geometry else total),
        geometry=geometry,
        files=(),
        quality=quality.value,
        quality_is_estimated=quality.is_estimated,
        quality_source=quality.source,
        task_quality=tuple(
            TaskQuality(task=task, value=found.value, is_estimated=found.is_estimated, source=found.source)
            for task, found in by_task.items()),
        scores=_scores(facts),
        sampling=_sampling(sampling.get("default") or sampling.get("thinking")),
        sampling_without_thinking=_sampling(sampling["non_thinking"]) if "non_thinking" in sampling else None,
        sampling_source=sampling.get("source") or "",
        sampling_confirmed=bool(sampling.get("vendor_confirmed")),
        tied_embeddings=bool(facts["tied_embeddings"]),
        per_layer_embedding_params=per_layer_embedding_params(facts),
        expert_blocks=expert_blocks(facts),
    )
    return msgspec.structs.replace(model, files=_files(model))


def _sampling(values: dict[str, Any] | None) -> CatalogSampling:
    return msgspec.convert(values or {}, CatalogSampling)


def _repo(facts: Facts) -> str:
    """The repository with the widest choice of labels; for gpt-oss the one with the original MXFP4 file."""
    repos = [entry["repo"] for entry in facts["gguf_repos"]]
    if facts["gguf_arch"] == "gpt-oss":
        return str(repos[0])
    for owner in PREFERRED_OWNERS:
        for repo in repos:
            if repo.startswith(owner + "/"):
                return str(repo)
    return str(repos[0]) if repos else ""


def _files(model: CatalogModel) -> tuple[CatalogFile, ...]:
    if not model.repo_id or not model.params_total:
        return ()
    labels = LABELS_BY_OWNER.get(model.repo_id.split("/")[0], LABELS)
    if model.family == "gpt-oss":
        labels = ("MXFP4",)
    return tuple(_file(model, label) for label in labels)


@cache
def _exact_sizes() -> dict[tuple[str, str], tuple[int, str]]:
    """(bytes, source) of the files whose size is known, by repository in small letters and label."""
    known = json.loads(SIZES.read_text(encoding="utf-8"))
    return {
        (row["repo"].lower(), row["label"]): (
            row["bytes"], known["sources"][row["source"]] + (f"; sha256 {row['sha256']}" if "sha256" in row else ""))
        for row in known["files"]
    }


def _file(model: CatalogModel, label: str) -> CatalogFile:
    exact = _exact_sizes().get((model.repo_id.lower(), label))
    if exact is not None:
        return CatalogFile(label=label, size_bytes=exact[0], source=exact[1], is_exact=True)
    known = KNOWN_GIB.get((model.id, label))
    if known is not None:
        return CatalogFile(label=label, size_bytes=round(known * GIB), source="size on the Hub, to 0.1 GiB")
    basis = "its dimensions" if model.geometry else "its number of weights"
    computed = estimated_file_bytes(model, label)
    usual = _exact_sizes().get((model.repo_id.lower(), USUAL_LABEL))
    if usual is not None and label in LIKE_USUAL:
        computed = computed * usual[0] // estimated_file_bytes(model, USUAL_LABEL)
        basis += f", the known size of {USUAL_LABEL}"
    return CatalogFile(
        label=label,
        size_bytes=computed,
        source=f"computed from {basis} and the bits per weight of {label}",
    )


def _scores(facts: Facts) -> tuple[Score, ...]:
    return tuple(
        Score(
            benchmark=row["benchmark"],
            score=row["score"],
            source=row["source"] + (f" ({row['note']})" if row["note"] and row["note"] != "-" else ""),
        )
        for row in facts["benchmarks"]
    )


if __name__ == "__main__":
    sys.exit(main())
