"""The table of predicted and measured memory: both real models, five contexts, two KV types."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

from tests.bench.tables import print_table
from tests.helpers.memory_truth import CONTEXTS, KV_TYPES, MIB, Truth, truths
from tests.helpers.real_models import gemma_path, smollm2_path
from tests.helpers.services_fixture import open_services

pytestmark = [pytest.mark.bench, pytest.mark.model, pytest.mark.timeout(600)]


@pytest.mark.parametrize(("name", "model"), [("SmolLM2", smollm2_path), ("gemma", gemma_path)])
def test_table_of_memory(name: str, model: Callable[[], Path], tmp_path: Path) -> None:
    with open_services(tmp_path, echo=None) as services:
        found = truths(services, model(), tmp_path, tuple(product(CONTEXTS[name], KV_TYPES)))
    print_table(f"Memory of {model().name} in MiB", [row(truth) for truth in found])


def row(truth: Truth) -> tuple[str, str]:
    """One load in words: predicted and logged by part, then the process."""
    buffers, fit, grown = truth.load.buffers, truth.fit, truth.load.growth_bytes
    weights = sum(one.weights_bytes - one.repacked_bytes for one in buffers)
    kv, compute = sum(one.kv_bytes for one in buffers), sum(one.compute_bytes + one.output_bytes for one in buffers)
    parts = ", ".join(
        f"{name} {predicted / MIB:.2f} / {logged / MIB:.2f}" for name, predicted, logged in (
            ("weights", fit.weights_bytes, weights), ("KV", fit.kv_bytes, kv), ("compute", fit.compute_bytes, compute)))
    off = truth.predicted_bytes - grown
    return (
        f"{truth.ctx} {truth.kv_type.value}",
        f"{parts}; copies {truth.copied_bytes / MIB:.2f}; process {truth.predicted_bytes / MIB:.1f} / {grown / MIB:.1f} "
        f"({off / MIB:+.1f} MiB, {off / grown:+.1%})")
