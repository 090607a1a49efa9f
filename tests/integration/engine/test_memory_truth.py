"""The memory that is predicted is the memory that llama.cpp allocates, and what the worker's process grows by."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

from tests.helpers.memory_truth import CONTEXTS, KV_TYPES, LINE_BYTES, Truth, truths
from tests.helpers.real_models import gemma_path, smollm2_path
from tests.helpers.services_fixture import open_services
from tests.helpers.torture import rounds

pytestmark = [pytest.mark.model, pytest.mark.timeout(600)]

WHOLE = {name: tuple(product(contexts, KV_TYPES)) for name, contexts in CONTEXTS.items()}
LOADS = {name: loads[:: rounds(len(loads) - 1, 1)] for name, loads in WHOLE.items()}
"""In CI the shortest context with the wider type of cache and the longest with the narrower one, else all of both."""
GROWTH_SHARE, GROWTH_BYTES = 0.03, 30_000_000


@pytest.mark.parametrize(("name", "model"), [("SmolLM2", smollm2_path), ("gemma", gemma_path)])
def test_predicted_memory_is_what_a_load_takes(name: str, model: Callable[[], Path], tmp_path: Path) -> None:
    with open_services(tmp_path, echo=None) as services:
        loads = LOADS[name]
        found = truths(services, model(), tmp_path, loads)
    assert [(truth.ctx, truth.kv_type) for truth in found] == list(loads)
    for truth in found:
        assert_true(truth)


def assert_true(truth: Truth) -> None:
    case = (truth.ctx, truth.kv_type)
    assert truth.load.loaded.ctx == truth.ctx
    assert 256 < truth.load.prompt_tokens <= 512, "the prompt is one ubatch"
    # Two caches and a compute buffer with the logits are as many lines of the log.
    for part, lines in (("weights", 1), ("kv", 2), ("compute", 2)):
        assert abs(truth.differences()[part]) <= lines * LINE_BYTES, (case, part)
    grown = truth.load.growth_bytes
    assert abs(truth.predicted_bytes - grown) <= max(GROWTH_BYTES, GROWTH_SHARE * grown), case
