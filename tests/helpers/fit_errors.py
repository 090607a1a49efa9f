"""How far the formulas are from llama.cpp's own dry run, for models of the catalog at their true dimensions."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from localai_app.catalog.load import load_catalog
from localai_app.catalog.model import CatalogFile, CatalogModel
from localai_app.catalog.subject import catalog_weights, estimated_file_bytes
from localai_app.engine.launch import planner_command
from localai_app.engine.protocol import KvType, LoadOptions, PlannedBuffer
from localai_app.fit.memory import ModelMemory
from localai_app.gguf.dimensions import geometry_of
from localai_app.gguf.plan_header import plan_header, write_plan_file
from localai_app.gguf.reader import read_header_file
from localai_app.gguf.rearranged import rearranging_of
from localai_app.gguf.tensors import weights_of
from localai_app.hardware.cpu import probe_cpu
from localai_app.services.planner import Planner
from localai_app.units import MIB
from tests.helpers.synthetic import BUILDERS, synthesise, write_sparse

CATALOG_FOLDER = Path(__file__).resolve().parents[2] / "resources" / "catalog"
UBATCH = 512
ROUNDING_BYTES = 32 * 1024
"""Where llama.cpp's table cannot be read, its log has each buffer in MiB with two decimals."""
COMPUTE_TOLERANCE_BYTES, COMPUTE_TOLERANCE = 32 * MIB, 0.10
TOTAL_TOLERANCE, CATALOG_TOLERANCE = 0.01, 0.05
HEAD_BEFORE_TABLE = ("gemma3n", "gemma4")
"""llama.cpp makes a tied head of these a tensor of its own. A dry run cannot map the file and counts it twice; a load maps it,
and both lie on the same pages."""


@dataclass(frozen=True)
class Case:
    """One load."""

    ctx: int
    kv_type: KvType
    use_repack: bool = True


@dataclass(frozen=True)
class Parts:
    """Bytes of a load with every layer on the processor."""

    weights: int
    kv: int
    compute: int
    rearranged: int = 0

    @property
    def total(self) -> int:
        """All of it; rearranged weights count once."""
        return self.weights + self.kv + self.compute


@dataclass(frozen=True)
class Comparison:
    """One load by llama.cpp's dry run and by the formulas."""

    model_id: str
    architecture: str
    case: Case
    dry_run: Parts
    header: Parts
    catalog: Parts | None
    unknown_parts: tuple[str, ...]

    @property
    def kv_error_bytes(self) -> int:
        """Header basis less dry run."""
        return self.header.kv - self.dry_run.kv

    @property
    def compute_error_bytes(self) -> int:
        """Header basis less dry run."""
        return self.header.compute - self.dry_run.compute

    @property
    def total_error(self) -> float:
        """Of the header basis, as a share."""
        return self.header.total / self.dry_run.total - 1

    @property
    def catalog_error(self) -> float | None:
        """Of the catalog basis, as a share; None for a model without dimensions in the catalog."""
        return self.catalog.total / self.dry_run.total - 1 if self.catalog is not None else None

    def misses(self) -> list[str]:
        """What of the header basis is out of tolerance, in words."""
        limit = max(COMPUTE_TOLERANCE_BYTES, COMPUTE_TOLERANCE * self.dry_run.compute)
        checks = {
            f"KV cache {self.kv_error_bytes:+,} bytes": abs(self.kv_error_bytes) > 0,
            f"compute {self.compute_error_bytes / MIB:+.1f} MiB": abs(self.compute_error_bytes) > limit,
            f"total {self.total_error:+.2%}": abs(self.total_error) > TOTAL_TOLERANCE,
        }
        return [words for words, is_out in checks.items() if is_out]


def source_rows() -> list[dict[str, Any]]:
    """The models of the catalog's sources whose headers can be synthesised."""
    rows = json.loads((CATALOG_FOLDER / "sources" / "models.json").read_text(encoding="utf-8"))
    needed = ("n_layer", "n_embd", "n_vocab", "n_head")
    return [row for row in rows if row["gguf_arch"] in BUILDERS and all(row[key] for key in needed)]


def smallest_of_each_architecture() -> list[dict[str, Any]]:
    """One model for each architecture."""
    smallest: dict[str, dict[str, Any]] = {}
    for row in sorted(source_rows(), key=lambda row: row["params_total"] or math.inf):
        smallest.setdefault(row["gguf_arch"], row)
    return [smallest[architecture] for architecture in sorted(smallest)]


def label_of(row: dict[str, Any]) -> str:
    """The label that is compared: what most people load, or the native one."""
    return "MXFP4" if row["gguf_arch"] == "gpt-oss" else "Q4_K_M"


def catalog_models() -> dict[str, CatalogModel]:
    """The catalog by model."""
    return {model.id: model for model in load_catalog(CATALOG_FOLDER / "models.json").models}


class Comparer:
    """Compares models one after the other; each is written as a sparse file and planned in a worker."""

    def __init__(self, planner: Planner, folder: Path) -> None:
        self._planner = planner
        self._folder = folder
        self._catalog = catalog_models()
        self._rearranging = rearranging_of(this_cpu_sets())

    def compare(self, row: dict[str, Any], cases: Iterable[Case]) -> list[Comparison]:
        """All cases of one model. AppError with llama.cpp's reason where it refuses the header."""
        label = label_of(row)
        sparse = write_sparse(self._folder / "model.gguf", synthesise(row, label))
        header = read_header_file(sparse)
        sparse.unlink()
        path = self._folder / "header.gguf"
        write_plan_file(path, plan_header([header]))
        geometry, weights = geometry_of(header), weights_of([header])
        head_copy = weights.output_bytes if weights.tied_embeddings and row["gguf_arch"] in HEAD_BEFORE_TABLE else 0
        comparisons = []
        for case in cases:
            memory = ModelMemory(
                geometry, weights, UBATCH, rearranging=self._rearranging if case.use_repack else None)
            planned = parts_of_buffers(self._planner.plan(path, options_of(case)).buffers)
            comparisons.append(Comparison(
                row["id"], row["gguf_arch"], case, replace(planned, weights=planned.weights - head_copy),
                parts_of_memory(memory, case), self._by_catalog(row["id"], label, case), geometry.unknown_parts))
        return comparisons

    def _by_catalog(self, model_id: str, label: str, case: Case) -> Parts | None:
        model = self._catalog.get(model_id)
        if model is None or model.geometry is None:
            return None
        # Not a known size: that is of an uploader's own mix of types, the synthesised file is of llama.cpp's.
        file = CatalogFile(label=label, size_bytes=estimated_file_bytes(model, label), source="")
        return parts_of_memory(ModelMemory(model.geometry, catalog_weights(model, file), UBATCH), case)


def options_of(case: Case, path: str = "") -> LoadOptions:
    """The options of a load on the processor."""
    return LoadOptions(model_path=path, ctx=case.ctx, kv_type=case.kv_type, ubatch=UBATCH, use_repack=case.use_repack)


def parts_of_buffers(buffers: Sequence[PlannedBuffer]) -> Parts:
    """What llama.cpp says; the row of logits belongs to the compute buffer here."""
    return Parts(
        weights=sum(buffer.weights_bytes for buffer in buffers), kv=sum(buffer.kv_bytes for buffer in buffers),
        compute=sum(buffer.compute_bytes + buffer.output_bytes for buffer in buffers),
        rearranged=sum(buffer.repacked_bytes for buffer in buffers))


def parts_of_memory(memory: ModelMemory, case: Case) -> Parts:
    """What the formulas say."""
    return Parts(
        weights=memory.host_weights(memory.blocks, has_head=True),
        kv=memory.at(case.ctx, case.kv_type).kv(0, memory.blocks),
        compute=memory.at(case.ctx, case.kv_type).host_with_head,
        rearranged=memory.rearranged_bytes(memory.blocks, has_head=True))


def this_cpu_sets() -> tuple[str, ...]:
    """The instruction sets of this computer's processor."""
    cpu = probe_cpu().cpu
    return cpu.instruction_sets if cpu is not None else ()


@contextmanager
def running_comparer(folder: Path) -> Iterator[Comparer]:
    """A comparer with a worker of its own, which ends with it."""
    planner = Planner(planner_command(), folder / "worker")
    try:
        yield Comparer(planner, folder)
    finally:
        planner.close()
