"""The formulas beside llama.cpp's own dry run, for every model of the catalog: prints the table that docs/fit-errors.md keeps.

LOCALAI_WRITE_DOCS=1 writes it there.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from localai_app.engine.protocol import KvType
from localai_app.errors import AppError
from tests.bench.fit_error_table import page_of
from tests.helpers.fit_errors import CATALOG_TOLERANCE, Case, Comparison, running_comparer, source_rows

pytestmark = [pytest.mark.bench, pytest.mark.model, pytest.mark.timeout(1200)]

CASES = [
    Case(ctx, kv_type, use_repack)
    for use_repack in (True, False) for ctx in (4096, 8192, 32_768) for kv_type in (KvType.F16, KvType.Q8_0)]
NEAR_SHARE = 0.95
"""Of the models, for which the catalog alone must be near."""
PAGE = Path(__file__).resolve().parents[2] / "docs" / "fit-errors.md"


def test_formulas_beside_dry_runs(tmp_path: Path) -> None:
    comparisons: list[Comparison] = []
    refused: dict[str, str] = {}
    with running_comparer(tmp_path) as comparer:
        for row in source_rows():
            try:
                comparisons += comparer.compare(row, CASES)
            except AppError as error:
                refused[row["id"]] = error.detail or error.message
    page = page_of(comparisons, refused)
    print(f"\n{page}")
    if os.environ.get("LOCALAI_WRITE_DOCS"):
        PAGE.write_text(page, encoding="utf-8")
    assert len({comparison.model_id for comparison in comparisons}) >= 40
    known = [comparison for comparison in comparisons if not comparison.unknown_parts]
    in_catalog = {each.model_id for each in comparisons if each.catalog_error is not None}
    far = {each.model_id for each in comparisons if abs(each.catalog_error or 0.0) > CATALOG_TOLERANCE}
    assert len(in_catalog - far) >= NEAR_SHARE * len(in_catalog)
    assert {comparison.model_id: misses for comparison in known if (misses := comparison.misses())} == {}
