"""Reading llama.cpp's log of a load: caches and buffers, each on its device."""

from __future__ import annotations

from localai_app.engine.worker.breakdown import BufferTypeUse
from localai_app.engine.worker.buffers import buffers_in_log, with_table

MIB = 1024 * 1024
ONE_DEVICE = """\
llama_context:        CPU  output buffer size =     1.00 MiB
llama_kv_cache_iswa: creating non-SWA KV cache, size = 8192 cells
llama_kv_cache: layer   5: dev = CPU
llama_kv_cache:        CPU KV buffer size =     0.00 MiB
llama_kv_cache: size =   24.00 MiB (  8192 cells,   3 layers,  1/1 seqs), K (f16):   12.00 MiB, V (f16):   12.00 MiB
llama_kv_cache_iswa: creating     SWA KV cache, size = 1024 cells
llama_kv_cache:        CPU KV buffer size =     0.00 MiB
llama_kv_cache: size =   15.00 MiB (  1024 cells,  15 layers,  1/1 seqs), K (f16):    7.50 MiB, V (f16):    7.50 MiB
llama_memory_recurrent, layer   0: dev = CPU
llama_memory_recurrent:        CPU RS buffer size =     0.22 MiB
llama_memory_recurrent: size =    0.22 MiB (     1 cells,   6 layers,  1 seqs  0 rs_seq), R (f32):    0.03 MiB
sched_reserve: max_nodes = 1888
sched_reserve:        CPU compute buffer size =    26.77 MiB
sched_reserve: graph: nodes = 727, splits = 1, input objects = 4, input tensors = 9
""".splitlines()
TWO_DEVICES = """\
llama_context:  CUDA_Host  output buffer size =     0.58 MiB
llama_kv_cache: layer   0: dev = CPU
llama_kv_cache: layer   1: dev = CUDA0
llama_kv_cache: layer   2: dev = CUDA0
llama_kv_cache: layer   3: dev = CUDA10
llama_kv_cache: size =  400.00 MiB (  4096 cells,   4 layers,  1/1 seqs), K (f16):  200.00 MiB, V (f16):  200.00 MiB
sched_reserve:      CUDA0 compute buffer size =    99.00 MiB
sched_reserve:      CUDA0 compute buffer size =   100.00 MiB
sched_reserve:     CUDA10 compute buffer size =    50.00 MiB
sched_reserve:  CUDA_Host compute buffer size =    10.00 MiB
""".splitlines()


def test_one_device_holds_every_cache() -> None:
    (cpu,) = buffers_in_log(ONE_DEVICE, {"CPU": "cpu"})
    assert (cpu.device, cpu.kind) == ("CPU", "cpu")
    assert cpu.kv_bytes == round((24 + 15 + 0.22) * MIB)
    assert cpu.compute_bytes == round(26.77 * MIB)
    assert cpu.output_bytes == MIB


def test_weights_of_a_real_load_are_the_mapped_file_and_the_rearranged_copies() -> None:
    lines = [
        "load_tensors:   CPU_Mapped model buffer size =   200.00 MiB",
        "load_tensors:   CPU_Mapped model buffer size =    35.16 MiB",
        "load_tensors:   CPU_REPACK model buffer size =    12.66 MiB",
        "load_tensors:        CUDA0 model buffer size =     7.00 MiB", *ONE_DEVICE]
    gpu, cpu = buffers_in_log(lines, {"CPU": "cpu", "CUDA0": "gpu"})
    assert (gpu.weights_bytes, gpu.repacked_bytes) == (7 * MIB, 0)
    assert cpu.weights_bytes == round((200 + 35.16 + 12.66) * MIB)
    assert cpu.repacked_bytes == round(12.66 * MIB)
    assert cpu.kv_bytes == round((24 + 15 + 0.22) * MIB)


def test_weights_for_matrix_units_are_rearranged_copies_too() -> None:
    (cpu,) = buffers_in_log(["load_tensors:          AMX model buffer size =    64.00 MiB", *ONE_DEVICE], {"CPU": "cpu"})
    assert cpu.repacked_bytes == 64 * MIB


def test_a_cache_over_devices_is_divided_by_layers() -> None:
    kinds = {"CPU": "cpu", "CUDA0": "gpu", "CUDA1": "gpu", "CUDA10": "gpu"}
    found = {buffer.device: buffer for buffer in buffers_in_log(TWO_DEVICES, kinds)}
    assert list(found) == ["CUDA0", "CUDA10", "CPU"]
    assert {name: buffer.kv_bytes // MIB for name, buffer in found.items()} == {"CUDA0": 200, "CUDA10": 100, "CPU": 100}
    assert {name: buffer.compute_bytes // MIB for name, buffer in found.items()} == {"CUDA0": 100, "CUDA10": 50, "CPU": 10}
    assert [buffer.kind for buffer in found.values()] == ["gpu", "gpu", "cpu"]


def test_another_log_gives_nothing() -> None:
    assert buffers_in_log(["", "size = 12 MiB", "llama_kv_cache: size = many MiB"], {}) == ()


def test_the_table_adds_weights_and_exact_bytes() -> None:
    kinds = {"CPU": "cpu"}
    logged = buffers_in_log(ONE_DEVICE, kinds)
    (cpu,) = logged
    table = (
        BufferTypeUse("CPU_REPACK", 100, 0, 0), BufferTypeUse("CPU", 900, cpu.kv_bytes - 77, cpu.compute_bytes + 99))
    (exact,) = with_table(logged, table, kinds)
    assert (exact.weights_bytes, exact.repacked_bytes) == (1000, 100)
    assert (exact.kv_bytes, exact.compute_bytes) == (cpu.kv_bytes - 77, cpu.compute_bytes + 99)
    assert exact.output_bytes == cpu.output_bytes


def test_a_table_that_disagrees_with_the_log_is_not_believed() -> None:
    kinds = {"CPU": "cpu", "CUDA0": "gpu"}
    logged = buffers_in_log(ONE_DEVICE, kinds)
    (cpu,) = logged
    for table in (
        (), (BufferTypeUse("CPU", 1, cpu.kv_bytes * 2, cpu.compute_bytes),),
        (BufferTypeUse("CPU", 1, cpu.kv_bytes, 0),), (BufferTypeUse("CUDA0", 1, cpu.kv_bytes, cpu.compute_bytes),),
    ):
        assert with_table(logged, table, kinds) == logged
