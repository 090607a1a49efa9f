"""Dry runs against real loads with layers on a device that is not main memory, lent over loopback."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.gguf_architectures import write_architecture
from tests.helpers.lent_devices import CASES, compare, lent_device, library_folder
from tests.helpers.real_models import gemma_path, smollm2_path

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(library_folder() is None, reason="this llama.cpp cannot lend devices"),
]
CLOSE_BYTES = 64 * 1024


def test_caches_and_buffers_are_planned_on_the_device_that_will_hold_them(tmp_path: Path) -> None:
    models = [smollm2_path(), gemma_path(), *(
        write_architecture(tmp_path / f"{name}.gguf", name) for name in ("llama-moe", "gemma3", "lfm2", "deepseek2"))]
    with lent_device() as port:
        lines = compare(port, models)
    assert len(lines) == len(models) * len(CASES)
    for line in lines:
        planned, loaded = line["planned"], line["loaded"]
        assert set(planned) == {line["lent"], "CPU"}
        for device in planned:
            for part in ("kv_bytes", "compute_bytes", "output_bytes"):
                assert planned[device][part] == pytest.approx(loaded[device][part], rel=0.01, abs=CLOSE_BYTES), (line, part)
        assert planned[line["lent"]]["compute_bytes"] > 0
        if line["case"][0] == 99:
            assert planned["CPU"]["kv_bytes"] == 0
