"""What is said of a model that is too large: the memory that all devices have for it together."""

from __future__ import annotations

from pathlib import Path

import pytest

from localai_app.fit.decide import decide
from localai_app.fit.result import Request, Verdict
from localai_app.hardware.report import Gpu
from localai_app.services.load_planner import refusal
from localai_app.services.views import InstalledModel
from tests.helpers.fit_subjects import computer, gpu_table, integrated, nvidia
from tests.unit.fit.test_machines import SUBJECTS

MODEL = InstalledModel("a/b:Q4_K_M", "Large", "Q4_K_M", "a/b", (Path("b.gguf"),), 1, "Local AI")


# Main memory: 14 free less 2; the card: 12 free less 1. The GPU in the processor adds nothing to main memory.
@pytest.mark.parametrize(("gpus", "available"), [
    ((), "12.0 GiB is available"),
    ((nvidia("RTX 4070", 12, free_gib=12),), "23.0 GiB is available"),
    ((integrated("AMD Radeon 780M Graphics", 16),), "12.0 GiB is available"),
])
def test_memory_is_added_up_where_a_model_can_be_spread_over_it(gpus: tuple[Gpu, ...], available: str) -> None:
    request = Request()
    fit = decide(computer(16, 14, gpus), SUBJECTS["Llama 70B"], request, gpu_table())
    assert fit.verdict is Verdict.NO
    assert available in refusal(MODEL, request, fit).message
