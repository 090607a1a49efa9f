"""Results of benchmarks for tests."""

from __future__ import annotations

import msgspec

from localai_app.store.records import BenchmarkFigure, BenchmarkRecord

RECORD = BenchmarkRecord(
    time_s=1_700_000_000.0, model_key="tester/Tiny-GGUF:Q4_K_M", model_name="Tiny", label="Q4_K_M",
    description="llama 135M Q4_K", engine_build="llama-cpp-python 0.3.36; CPU : AVX2 = 1",
    options={"ctx": 8448, "gpu_layers": 0}, ctx=8448, threads=8, gpu_layers=0, n_layer=31,
    processor="Test CPU 9000", memory_bytes=32 * 1024**3,
    figures=(
        BenchmarkFigure(kind="prompt", tokens=128, seconds=(0.64, 0.65, 0.62)),
        BenchmarkFigure(kind="prompt", tokens=512, seconds=(2.6, 2.56, 2.5)),
        BenchmarkFigure(kind="prompt", tokens=2048, seconds=(12.0, 12.3, 11.9)),
        BenchmarkFigure(kind="generation", tokens=32, seconds=(0.32, 0.33, 0.31)),
        BenchmarkFigure(kind="generation", tokens=32, depth=2048, seconds=(0.5, 0.5, 0.51)),
        BenchmarkFigure(kind="generation", tokens=32, depth=8192, seconds=(1.3, 1.28, 1.33))))


def benchmark_of(factor: float = 1.0, **fields: object) -> BenchmarkRecord:
    """A result that took `factor` times as long; `fields` of a record."""
    figures = tuple(
        msgspec.structs.replace(one, seconds=tuple(seconds * factor for seconds in one.seconds)) for one in RECORD.figures)
    return msgspec.structs.replace(RECORD, **{"figures": figures, **fields})
