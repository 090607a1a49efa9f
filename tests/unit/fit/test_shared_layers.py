"""Layers shared as the user asked, the GPU that is used first, and devices of other computers."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from localai_app.fit.decide import decide
from localai_app.fit.placement import proportional_counts
from localai_app.fit.result import FitResult, Request, Verdict
from localai_app.hardware.cross_check import cross_check
from localai_app.hardware.report import EngineDevice, Gpu, HardwareReport
from localai_app.units import GIB
from tests.helpers.fit_subjects import SMOLLM2_135M, computer, gpu_table, nvidia, subject

SMALL = subject(SMOLLM2_135M)
LAYERS = SMOLLM2_135M.n_layer + 1


def machine(*gpus: Gpu, lent_gib: tuple[float, ...] = ()) -> HardwareReport:
    """A computer whose engine sees these GPUs, and lent devices with so much free memory."""
    local = [
        EngineDevice(name=f"CUDA{at}", description=gpu.name, kind="gpu", total_bytes=gpu.total_bytes or 0,
                     free_bytes=gpu.free_bytes or 0)
        for at, gpu in enumerate(gpus)]
    lent = [
        EngineDevice(name=f"RPC{at}", description=f"192.168.1.{at}:50052", kind="gpu", total_bytes=round(gib * GIB),
                     free_bytes=round(gib * GIB))
        for at, gib in enumerate(lent_gib)]
    return cross_check(computer(32, gpus=gpus), [*local, *lent])


def fit(hardware: HardwareReport, request: Request) -> FitResult:
    return decide(hardware, SMALL, request, gpu_table())


def layers_of(result: FitResult) -> dict[str, int]:
    return {device.engine_name: device.layers for device in result.devices if device.kind == "gpu" and device.layers}


TWO = (nvidia("RTX 4090", 24, index=0), nvidia("RTX 3060", 12, index=1))


def test_parts_decide_how_layers_are_shared() -> None:
    result = fit(machine(*TWO), Request(tensor_split=(3, 1)))
    assert result.verdict is Verdict.GPU
    assert result.load_options is not None
    assert result.load_options.devices == ("CUDA0", "CUDA1")
    assert result.load_options.tensor_split == tuple(map(float, proportional_counts((3, 1), LAYERS)))
    assert layers_of(result) == {"CUDA0": 24, "CUDA1": 7}


def test_a_part_of_zero_leaves_a_gpu_alone_and_missing_parts_are_zero() -> None:
    for parts in ((0, 1), (0, 5, 7)):
        assert layers_of(fit(machine(*TWO), Request(tensor_split=parts))) == {"CUDA1": LAYERS}
    assert layers_of(fit(machine(*TWO), Request(tensor_split=(1,)))) == {"CUDA0": LAYERS}


def test_parts_that_a_gpu_cannot_hold_put_fewer_layers_on_gpus() -> None:
    tight = machine(TWO[0], nvidia("RTX 3060", 12, free_gib=1.09, index=1))
    asked = Request(ctx=4096, tensor_split=(1, 1))
    result = fit(tight, asked)
    assert result.verdict is Verdict.GPU_PARTIAL
    counts = layers_of(result)
    assert abs(counts["CUDA0"] - counts["CUDA1"]) <= 1
    assert sum(counts.values()) < LAYERS
    second = next(device for device in result.devices if device.engine_name == "CUDA1")
    assert second.total_bytes <= second.free_bytes - second.reserve_bytes
    fixed = fit(tight, msgspec.structs.replace(asked, gpu_layers=LAYERS))
    assert fixed.verdict is Verdict.NO


def test_the_main_device_is_used_first_and_alone_where_it_does() -> None:
    assert layers_of(fit(machine(*TWO), Request())) == {"CUDA0": LAYERS}
    for name in ("CUDA1", "NVIDIA GeForce RTX 3060"):
        result = fit(machine(*TWO), Request(main_device=name))
        assert layers_of(result) == {"CUDA1": LAYERS}
        assert result.load_options is not None
        assert (result.load_options.devices, result.load_options.main_device) == (("CUDA1",), 0)
    full = machine(TWO[0], nvidia("RTX 3060", 12, free_gib=1.06, index=1))
    elsewhere = fit(full, Request(main_device="CUDA1", ctx=4096))
    assert layers_of(elsewhere) == {"CUDA0": LAYERS}
    assert elsewhere.load_options is not None
    assert elsewhere.load_options.main_device is None


def test_lent_devices_help_where_those_of_this_computer_do_not_do() -> None:
    assert layers_of(fit(machine(*TWO, lent_gib=(64, 64)), Request())) == {"CUDA0": LAYERS}
    small = nvidia("RTX 3060", 12, free_gib=1.15)
    both = fit(machine(small, lent_gib=(2, 64)), Request(ctx=4096))
    assert both.verdict is Verdict.GPU
    assert set(layers_of(both)) == {"CUDA0", "RPC1"}
    alone = fit(machine(lent_gib=(2, 2)), Request(ctx=4096))
    assert alone.verdict is Verdict.GPU
    assert len(layers_of(alone)) == 1
    assert sum(device.engine_name == "CUDA0" for device in both.devices) == 1, "every device is listed once"


def test_lent_devices_can_be_left_alone_and_are_no_surprise() -> None:
    report = machine(*TWO, lent_gib=(64,))
    assert report.notes == ()
    left = fit(report, Request(excluded_devices=("CUDA0", "CUDA1", "RPC0")))
    assert left.verdict is Verdict.CPU
    only = fit(report, Request(excluded_devices=("CUDA0", "CUDA1")))
    assert layers_of(only) == {"RPC0": LAYERS}
    assert any(device.name == "192.168.1.0:50052" for device in only.devices)


def test_a_lent_device_does_not_hide_that_the_own_gpu_is_unused() -> None:
    seen = machine(lent_gib=(8,)).engine_devices or ()
    report = cross_check(computer(32, gpus=TWO), seen)
    assert any("sees no GPU" in note.message for note in report.notes)


@given(st.lists(st.floats(0, 100, allow_nan=False), min_size=1, max_size=6).filter(lambda parts: sum(parts) > 1e-6),
       st.integers(0, 200))
def test_counts_are_whole_contiguous_and_in_proportion(parts: list[float], layers: int) -> None:
    counts = proportional_counts(parts, layers)
    assert sum(counts) == layers
    assert len(counts) == len(parts)
    for part, count in zip(parts, counts, strict=True):
        assert abs(count - layers * part / sum(parts)) <= len(parts)
