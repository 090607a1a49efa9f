"""Dry runs against real loads with layers on devices that are not main memory, lent over loopback."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from localai_app.engine.protocol import KvType, LoadOptions
from tests.helpers.gguf_architectures import N_EMBD, N_FF, N_LAYER, write_architecture
from tests.helpers.lent_devices import Comparison, compare, lent_devices, library_folder
from tests.helpers.real_models import gemma_path, smollm2_path

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(library_folder() is None, reason="this llama.cpp cannot lend devices"),
]
CLOSE_BYTES = 64 * 1024
MIB = 1024 * 1024
CASES = (
    LoadOptions(model_path="", ctx=4096, gpu_layers=99, devices=("RPC0",)),
    LoadOptions(model_path="", ctx=8192, gpu_layers=99, devices=("RPC0",), kv_type=KvType.Q8_0),
    LoadOptions(model_path="", ctx=4096, gpu_layers=3, devices=("RPC0",)),
)
EXPERTS = 8
EXPERT_BYTES = 3 * EXPERTS * N_EMBD * N_FF * 2
"""One block of the mixture: gate, up and down of all experts in F16."""


def assert_as_planned(line: Comparison, close_bytes: int = CLOSE_BYTES) -> None:
    assert set(line.planned) == set(line.loaded)
    for name, planned in line.planned.items():
        loaded = line.loaded[name]
        for part in ("kv_bytes", "compute_bytes", "output_bytes"):
            assert getattr(planned, part) == pytest.approx(getattr(loaded, part), rel=0.01, abs=close_bytes), (name, part)


def test_caches_and_buffers_are_planned_on_the_device_that_will_hold_them(tmp_path: Path) -> None:
    models = [smollm2_path(), gemma_path(), *(
        write_architecture(tmp_path / f"{name}.gguf", name) for name in ("llama-moe", "gemma3", "lfm2", "deepseek2"))]
    loads = [msgspec.structs.replace(case, model_path=str(model)) for model in models for case in CASES]
    with lent_devices() as ports:
        lines = compare(ports, loads)
    assert len(lines) == len(loads)
    for options, line in zip(loads, lines, strict=True):
        assert set(line.planned) == {"RPC0", "CPU"}
        assert_as_planned(line)
        assert line.planned["RPC0"].compute_bytes > 0
        if options.gpu_layers == 99:
            assert line.planned["CPU"].kv_bytes == 0


def test_layers_are_split_over_two_devices_as_asked(tmp_path: Path) -> None:
    split = LoadOptions(
        model_path=str(smollm2_path()), ctx=4096, gpu_layers=31, devices=("RPC0", "RPC1"), tensor_split=(20, 11))
    moe = write_architecture(tmp_path / "moe.gguf", "llama-moe")
    experts = LoadOptions(
        model_path=str(moe), ctx=4096, gpu_layers=N_LAYER + 1, devices=("RPC0", "RPC1"), tensor_split=(5, 2),
        cpu_expert_blocks=4)
    with lent_devices(2) as ports:
        lines = compare(ports, [split, experts])
    for line in lines:
        assert set(line.planned) == {"RPC0", "RPC1", "CPU"}
        # Without real buffers llama.cpp plans the pipeline's last device a few MiB larger.
        assert_as_planned(line, 6 * MIB)
    kv = {name: buffer.kv_bytes for name, buffer in lines[0].loaded.items()}
    assert (kv["RPC0"], kv["RPC1"], kv["CPU"]) == (20 * 4096 * 2 * 3 * 64 * 2, 10 * 4096 * 2 * 3 * 64 * 2, 0)


@pytest.mark.parametrize("blocks", [0, 2, N_LAYER])
def test_experts_of_the_first_blocks_stay_in_main_memory(blocks: int, tmp_path: Path) -> None:
    moe = write_architecture(tmp_path / "moe.gguf", "llama-moe")
    options = LoadOptions(
        model_path=str(moe), ctx=4096, gpu_layers=N_LAYER + 1, devices=("RPC0",), cpu_expert_blocks=blocks)
    with lent_devices() as ports:
        all_on_device, line = compare(ports, [msgspec.structs.replace(options, cpu_expert_blocks=0), options])
    assert_as_planned(line)
    for buffers, before in ((line.planned, all_on_device.planned), (line.loaded, all_on_device.loaded)):
        left_bytes = before["RPC0"].weights_bytes - buffers["RPC0"].weights_bytes
        arrived_bytes = buffers["CPU"].weights_bytes - before["CPU"].weights_bytes
        assert left_bytes == pytest.approx(blocks * EXPERT_BYTES, abs=4096)
        assert arrived_bytes == pytest.approx(blocks * EXPERT_BYTES, abs=4096)
        assert buffers["CPU"].kv_bytes == 0
