"""docs/fit-errors.md: one row per model, the worst of its loads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from localai_app.units import MIB
from tests.helpers.fit_errors import CATALOG_TOLERANCE, Comparison

_HEAD = """# How far the formulas are from llama.cpp

Before a model is downloaded, its memory is worked out by formulas: from the header of its file, or, for lists, from the
dimensions in the catalog. This page compares both with what llama.cpp itself plans for the same load (a dry run), for the
models of the catalog at their true dimensions. `python3 dev.py test tests/bench/bench_fit_error.py -m bench -s` prints it;
`LOCALAI_WRITE_DOCS=1` in front writes it here.

Every row is the worst of twelve loads on the processor: contexts of 4,096, 8,192 and 32,768 tokens, KV cache in f16 and q8_0,
weights rearranged for the processor and not; 512 tokens per step, one row of logits, flash attention on, sliding windows not
kept in full. *Compute* is the buffer for activations in MiB; *total* is weights, cache and buffers together. Files are Q4_K_M
(MXFP4 for gpt-oss), their types those that llama.cpp's quantizer picks; the catalog works out their sizes too, because known
sizes are those of uploaders' own mixes.

"""
_TABLE = """| Model | Architecture | KV cache | Compute: llama.cpp | Compute: error | Total: error | Catalog, total: error |
|---|---|---|---|---|---|---|
"""


def page_of(comparisons: Sequence[Comparison], refused: Mapping[str, str]) -> str:
    """The whole page."""
    by_model = [list(group) for _id, group in groupby(comparisons, key=lambda each: each.model_id)]
    known = [group for group in by_model if not group[0].unknown_parts]
    unknown = [group for group in by_model if group[0].unknown_parts]
    parts = [_HEAD, _summary(known), "\n", _TABLE, *(_row(group) for group in known)]
    if unknown:
        parts += [
            "\n## Parts that no formula covers\n\nThe program says so for these, and takes llama.cpp's plan as soon as it has "
            "the header. The errors are what a formula alone would miss.\n\n", _TABLE, *(_row(group) for group in unknown)]
    if refused:
        parts += ["\n## Refused by this llama.cpp\n\n", *(f"- {model_id}: {why}\n" for model_id, why in refused.items())]
    return "".join(parts)


def _summary(groups: Sequence[Sequence[Comparison]]) -> str:
    every = [each for group in groups for each in group]
    compute = max(every, key=lambda each: abs(each.compute_error_bytes))
    in_share = max(every, key=lambda each: abs(each.compute_error_bytes) / each.dry_run.compute)
    total = max(every, key=lambda each: abs(each.total_error))
    in_catalog = [error for group in groups if (error := _worst_catalog(group)) is not None]
    near = sum(abs(error) <= CATALOG_TOLERANCE for error in in_catalog)
    exact = sum(each.kv_error_bytes == 0 for each in every)
    return (
        f"{len(groups)} models of {len({group[0].architecture for group in groups})} architectures, {len(every)} loads. "
        f"The KV cache is exact to the byte in {exact} of them. Largest errors of the header: compute "
        f"{compute.compute_error_bytes / MIB:+.1f} MiB ({compute.model_id}) and "
        f"{in_share.compute_error_bytes / in_share.dry_run.compute:+.1%} ({in_share.model_id}), total {total.total_error:+.2%} "
        f"({total.model_id}). The catalog is within {CATALOG_TOLERANCE:.0%} for {near} of {len(in_catalog)} models.\n")


def _row(group: Sequence[Comparison]) -> str:
    compute = max(group, key=lambda each: abs(each.compute_error_bytes))
    kv = max((each.kv_error_bytes for each in group), key=abs)
    total = max((each.total_error for each in group), key=abs)
    catalog = _worst_catalog(group)
    return (
        f"| {group[0].model_id} | {group[0].architecture} | {'exact' if kv == 0 else f'{kv / MIB:+,.1f} MiB'} "
        f"| {compute.dry_run.compute / MIB:.1f} | {compute.compute_error_bytes / MIB:+.1f} "
        f"({compute.compute_error_bytes / compute.dry_run.compute:+.1%}) | {total:+.2%} "
        f"| {'' if catalog is None else f'{catalog:+.1%}'} |\n")


def _worst_catalog(group: Sequence[Comparison]) -> float | None:
    return max((each.catalog_error for each in group if each.catalog_error is not None), key=abs, default=None)
