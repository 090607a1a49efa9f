"""The header basis against llama.cpp's dry run with every layer on a device of its own, lent by an RPC server on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from localai_app.engine.launch import planner_command
from localai_app.engine.protocol import KvType, LoadOptions
from localai_app.fit.memory import ModelMemory
from localai_app.gguf.dimensions import geometry_of
from localai_app.gguf.reader import read_header_file
from localai_app.gguf.tensors import weights_of
from localai_app.services.planner import Planner
from localai_app.units import MIB
from tests.helpers.fit_errors import (
    COMPUTE_TOLERANCE,
    COMPUTE_TOLERANCE_BYTES,
    UBATCH,
    label_of,
    smallest_of_each_architecture,
)
from tests.helpers.lent_devices import lent_devices, library_folder
from tests.helpers.synthetic import synthesise, write_sparse

pytestmark = [
    pytest.mark.model, pytest.mark.skipif(library_folder() is None, reason="this llama.cpp cannot lend devices")]

LENT, CTX = "RPC0", 8192
ALL_LAYERS = 1000
SMALL_TENSORS_BYTES = 64 * 1024
"""Factors of the rotary embedding and other tensors of the whole model, which llama.cpp copies to each device."""
INPUTS_TOLERANCE_BYTES = 2 * MIB
"""The formula leaves out the row of logits."""


@pytest.fixture
def planner(tmp_path: Path) -> Iterator[Planner]:
    with lent_devices() as (port,):
        planner = Planner([*planner_command(), "--rpc", f"127.0.0.1:{port}"], tmp_path / "worker")
        yield planner
        planner.close()


def test_a_device_with_every_layer_takes_what_the_header_says(planner: Planner, tmp_path: Path) -> None:
    for row in smallest_of_each_architecture():
        path = write_sparse(tmp_path / "model.gguf", synthesise(row, label_of(row)))
        header = read_header_file(path)
        geometry, weights = geometry_of(header), weights_of([header])
        if geometry.unknown_parts:
            continue
        memory = ModelMemory(geometry, weights, UBATCH)
        options = LoadOptions(model_path="", ctx=CTX, ubatch=UBATCH, gpu_layers=ALL_LAYERS, devices=(LENT,))
        by_device = {buffer.device: buffer for buffer in planner.plan(path, options).buffers}
        device, host, moment = by_device[LENT], by_device["CPU"], memory.at(CTX, KvType.F16)
        on_device = memory.weights_between(0, memory.blocks) + weights.output_bytes
        assert on_device == pytest.approx(device.weights_bytes, abs=SMALL_TENSORS_BYTES), row["id"]
        assert moment.kv(0, memory.blocks) == device.kv_bytes, row["id"]
        assert moment.gpu_with_head == pytest.approx(
            device.compute_bytes, rel=COMPUTE_TOLERANCE, abs=COMPUTE_TOLERANCE_BYTES), row["id"]
        assert weights.input_bytes == host.weights_bytes, row["id"]
        assert moment.inputs == pytest.approx(host.compute_bytes + host.output_bytes, abs=INPUTS_TOLERANCE_BYTES), row["id"]
