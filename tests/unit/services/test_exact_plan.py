"""Placements checked by llama.cpp's plan of them: its figures count, and what overflows is chosen again."""

from __future__ import annotations

import msgspec
import pytest

from localai_app.engine.protocol import LoadOptions, PlannedBuffer
from localai_app.fit.decide import decide, machine_of
from localai_app.fit.result import Basis, FitResult, Request, Verdict
from localai_app.hardware.report import EngineDevice, HardwareReport
from localai_app.services.exact_plan import MORE_ROUNDS, exact_fit
from localai_app.units import GIB, MIB
from tests.helpers import fit_subjects as models
from tests.helpers.fit_subjects import computer, gpu_table, nvidia, subject

GPUS = gpu_table()
MODEL = subject(models.QWEN3_8B)
REQUEST = Request(ctx=8192)
MIXTURE = subject(models.QWEN3_30B_A3B, expert_share=0.96)


def machine(*free_gib: float) -> HardwareReport:
    cards = tuple(nvidia("RTX 4060", free + 0.4, free_gib=free, index=index) for index, free in enumerate(free_gib))
    devices = tuple(
        EngineDevice(name=f"CUDA{index}", description=card.name, kind="gpu", total_bytes=1, free_bytes=1)
        for index, card in enumerate(cards))
    return msgspec.structs.replace(computer(64, 56, cards), engine_devices=devices)


class Engine:
    """Plans what the formulas say, and `extra_bytes` of buffers more on each GPU."""

    def __init__(self, hardware: HardwareReport, model: models.Subject, request: Request, extra_bytes: int = 0) -> None:
        self._asked_of = (hardware, model, request)
        self.extra_bytes = extra_bytes
        self.asked: list[LoadOptions] = []

    def plan(self, options: LoadOptions) -> tuple[PlannedBuffer, ...]:
        self.asked.append(options)
        hardware, model, request = self._asked_of
        wish = msgspec.structs.replace(
            request, ctx=options.ctx, gpu_layers=options.gpu_layers, experts_on_cpu=options.cpu_expert_blocks,
            ubatch=options.ubatch)
        roomy = msgspec.structs.replace(
            hardware, gpus=tuple(msgspec.structs.replace(gpu, total_bytes=None, free_bytes=500 * GIB) for gpu in hardware.gpus))
        fit = decide(roomy, model, wish, GPUS)
        return tuple(
            PlannedBuffer(
                device=device.engine_name or "CPU", kind=device.kind, weights_bytes=device.weights_bytes,
                kv_bytes=device.kv_bytes,
                compute_bytes=device.compute_bytes + (self.extra_bytes if device.kind == "gpu" else 0))
            for device in fit.devices)

    def fit(self) -> FitResult:
        hardware, model, request = self._asked_of
        return exact_fit(self.plan, model, request, machine_of(hardware, request, GPUS))


def test_the_figures_of_the_plan_count() -> None:
    engine = Engine(machine(12), MODEL, Request(ctx=8192), extra_bytes=100 * MIB)
    formula, fit = decide(machine(12), MODEL, Request(ctx=8192), GPUS), engine.fit()
    assert (fit.verdict, fit.basis) == (Verdict.GPU, Basis.DRY_RUN)
    assert fit.devices[0].compute_bytes == formula.devices[0].compute_bytes + 100 * MIB
    assert fit.total_bytes == formula.total_bytes + 100 * MIB
    assert len(engine.asked) == 1
    assert engine.asked[0] == fit.load_options
    # 1.1 GiB of cache and 0.2 of buffers by formula.
    assert any("by llama.cpp's own plan; the formula alone says" in reason for reason in fit.reasons)


@pytest.mark.parametrize(("model", "free_gib"), [(MODEL, 4.5), (MIXTURE, 12)])
def test_what_overflows_is_chosen_again(model: models.Subject, free_gib: float) -> None:
    hardware, request = machine(free_gib), Request(ctx=8192)
    engine = Engine(hardware, model, request, extra_bytes=900 * MIB)
    formula, fit = decide(hardware, model, request, GPUS), engine.fit()
    assert (formula.verdict, fit.verdict, fit.basis) == (Verdict.GPU_PARTIAL, Verdict.GPU_PARTIAL, Basis.DRY_RUN)
    assert len(engine.asked) == 2
    card = fit.devices[0]
    assert card.total_bytes <= card.free_bytes - card.reserve_bytes
    assert card.weights_bytes < formula.devices[0].weights_bytes
    assert formula.load_options is not None
    assert fit.load_options is not None
    if model is MIXTURE:
        assert fit.load_options.gpu_layers == formula.load_options.gpu_layers == 49
        assert fit.load_options.cpu_expert_blocks > formula.load_options.cpu_expert_blocks
    else:
        assert fit.load_options.gpu_layers < formula.load_options.gpu_layers


def test_after_a_few_rounds_the_formulas_have_the_last_word() -> None:
    engine = Engine(machine(8), MODEL, Request(ctx=8192))
    grow = iter(range(1, 100))
    plan = engine.plan

    def never_enough(options: LoadOptions) -> tuple[PlannedBuffer, ...]:
        engine.extra_bytes = next(grow) * 4 * GIB
        return plan(options)

    fit = exact_fit(never_enough, MODEL, REQUEST, machine_of(machine(8), REQUEST, GPUS))
    assert len(engine.asked) <= 1 + MORE_ROUNDS
    assert (fit.verdict, fit.basis) == (Verdict.CPU, Basis.HEADER)


def test_a_plan_of_other_devices_is_not_taken() -> None:
    buffers = (PlannedBuffer(device="Vulkan0", kind="gpu", weights_bytes=1, kv_bytes=1, compute_bytes=1),)
    fit = exact_fit(lambda _options: buffers, MODEL, REQUEST, machine_of(machine(12), REQUEST, GPUS))
    assert fit.basis is Basis.HEADER


def test_nothing_is_planned_without_gpus_that_the_engine_names() -> None:
    def plan(_options: LoadOptions) -> tuple[PlannedBuffer, ...]:
        raise AssertionError("asked")

    for hardware in (computer(32, 26), computer(32, 26, (nvidia("RTX 4070", 12),))):
        assert exact_fit(plan, MODEL, REQUEST, machine_of(hardware, REQUEST, GPUS)).basis is Basis.HEADER
