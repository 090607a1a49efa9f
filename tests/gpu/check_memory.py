"""Memory of the GPU: predicted before a load, logged by llama.cpp, and measured by the driver."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

from localai_app.engine.protocol import KvType, PlannedBuffer
from localai_app.fit.result import FitResult, Request, Verdict
from tests.gpu.driver import held
from tests.gpu.setting import MIB, Setting, on_gpus, with_engine
from tests.gpu.worker import WorkerError, running_worker

GIB = 1024 * MIB
TOLERANCE_BYTES, TOLERANCE = 300 * MIB, 0.05
PROMPT = "The keeper of the lighthouse counts the ships that pass. " * 24
"""More than one ubatch, letter by letter."""


@dataclass(frozen=True)
class Case:
    """One load."""

    model_id: str
    label: str
    ctx: int
    kv_type: KvType
    is_filled: bool = False


SMALL = ("llama-3.2-1b-instruct", "qwen3-4b", "gemma-3-4b-it", "lfm2.5-1.2b-instruct", "qwen3.5-4b", "granite-4.0-h-tiny")
"""Dense, with sliding windows, with short convolutions, with linear attention, with states and experts."""
MEDIUM = ("llama-3.1-8b-instruct", "gpt-oss-20b", "gemma-4-e4b-it", "phi-4-mini-instruct", "smollm3-3b", "qwen3-30b-a3b",
          "glm-4.7-flash")
"""Experts in MXFP4, shared caches, compressed caches."""
FILLED = {"llama-3.2-1b-instruct": "Q8_0", "llama-3.1-8b-instruct": "Q4_K_M", "gpt-oss-20b": "MXFP4", "gemma-3-4b-it": "Q4_K_M",
          "qwen3-30b-a3b": "Q4_K_M"}
"""Those that the checks of speed need with weights."""


def cases(ids: tuple[str, ...]) -> list[Case]:
    """Each model at a usual context, and at a long one with a smaller cache."""
    found = []
    for model_id in ids:
        label = FILLED.get(model_id, "Q4_K_M")
        for ctx, kv_type in ((8192, KvType.F16), (32_768, KvType.Q8_0)):
            found.append(Case(model_id, label, ctx, kv_type, model_id in FILLED))
    return found


def small_models(setting: Setting) -> None:
    """Predicted and measured for the small ones."""
    _compare(setting, cases(SMALL))


def medium_models(setting: Setting) -> None:
    """The same for the larger ones."""
    _compare(setting, cases(MEDIUM))


def _compare(setting: Setting, wanted: list[Case]) -> None:
    with_engine(setting)
    at_once = int(os.environ.get("LOCALAI_GPU_AT_ONCE", "1"))
    command = setting.services.runtimes.worker_command()
    planning = threading.Lock()
    with ThreadPoolExecutor(at_once) as pool:
        rows = list(pool.map(lambda case: _row(setting, case, command, planning, is_alone=at_once == 1), wanted))
    setting.facts["loads"] = rows
    for row in rows:
        if "error" in row:
            setting.misses.append(f"{row['case']}: {row['error']}")
        elif abs(row["off"]) > max(TOLERANCE_BYTES // MIB, TOLERANCE * row["measured"]):
            setting.misses.append(f"{row['case']}: predicted {row['predicted']['total']} MiB, measured {row['measured']}")
    good = {row["case"].split()[0] for row in rows if "error" not in row}
    setting.facts["models measured"] = len(good)


def _row(setting: Setting, case: Case, command: list[str], planning: threading.Lock, *, is_alone: bool) -> dict:
    name = f"{case.model_id} {case.label} {case.ctx} {case.kv_type.value}"
    try:
        path = setting.model(case.model_id, case.label, is_filled=case.is_filled)
        with planning:
            fit = setting.services.estimate.fit_installed(str(path), Request(ctx=case.ctx, kv_type=case.kv_type))
        assert fit.load_options is not None, fit.reasons
        return {"case": name, **_measured(setting, fit, command, name, is_alone=is_alone)}
    except Exception as error:  # noqa: BLE001 - a line of the table
        return {"case": name, "error": f"{type(error).__name__}: {error}"[:700]}


def _measured(setting: Setting, fit: FitResult, command: list[str], name: str, *, is_alone: bool) -> dict:
    assert fit.load_options is not None
    before = setting.driver.used().total

    def now(pid: int) -> int | None:
        used = setting.driver.used()
        held_bytes = used.of(pid)
        return held_bytes if held_bytes is not None else used.total - before if is_alone else None

    with running_worker(command, setting.folder / name.replace(" ", "_")) as worker:
        ready = now(worker.pid)
        loaded = worker.load(fit.load_options)
        after_load = now(worker.pid)
        worker.answer(PROMPT[: min(len(PROMPT), fit.ctx // 2)], 24)
        after_prompt = now(worker.pid)
    measured = after_prompt or 0
    predicted = on_gpus(fit)
    return {
        "verdict": fit.verdict.value, "basis": fit.basis.value, "predicted": predicted,
        "logged": logged_on_gpus(loaded.buffers),
        "ready": _mib(ready), "after load": _mib(after_load), "measured": measured // MIB,
        "off": predicted["total"] - measured // MIB, "beyond llama.cpp": measured // MIB - sum(
            logged_on_gpus(loaded.buffers).values()),
        "load_s": round(loaded.load_s, 2), "layers": [loaded.gpu_layers, loaded.n_layer]}


def logged_on_gpus(buffers: tuple[PlannedBuffer, ...]) -> dict[str, int]:
    """MiB that llama.cpp allocated on GPUs, by part."""
    found = [buffer for buffer in buffers if buffer.kind != "cpu"]
    return {
        "weights": sum(buffer.weights_bytes for buffer in found) // MIB, "kv": sum(buffer.kv_bytes for buffer in found) // MIB,
        "compute": sum(buffer.compute_bytes + buffer.output_bytes for buffer in found) // MIB}


def _mib(n_bytes: int | None) -> int | None:
    return None if n_bytes is None else n_bytes // MIB


def taken_by_others(setting: Setting) -> None:
    """Another program takes 3 GB: within seconds the verdict is another one, and says by how much."""
    with_engine(setting)
    path = str(setting.model("llama-3.1-8b-instruct"))
    request = Request(ctx=8192)
    alone = setting.services.estimate.fit_installed(path, request)
    need = next(device for device in alone.devices if device.kind == "gpu").total_bytes
    seen = {"alone": _told(alone)}
    with held(leave_bytes=need + 1 * GIB + 1536 * MIB):
        setting.services.hardware.report_now()
        first = setting.services.estimate.fit_installed(path, request)
        with held(n_bytes=3_000_000_000):
            started_s = time.monotonic()
            report = setting.services.hardware.report_now()
            second = setting.services.estimate.fit_installed(path, request)
            seen["seconds"] = {"changed": time.monotonic() - started_s}
            seen["holders"] = {"named": len(report.gpus[0].holders) if report.gpus else 0}
    setting.services.hardware.report_now()
    third = setting.services.estimate.fit_installed(path, request)
    seen |= {"most held": _told(first), "3 GB less": _told(second), "given back": _told(third)}
    setting.facts |= seen
    setting.require(first.verdict is Verdict.GPU, f"with room enough the verdict is {first.verdict}")
    setting.require(second.verdict is not Verdict.GPU, f"with 3 GB less the verdict is still {second.verdict}")
    setting.require(third.verdict is Verdict.GPU, f"given back, the verdict is {third.verdict}")


def _told(fit: FitResult) -> dict[str, object]:
    gpu = next((device for device in fit.devices if device.kind == "gpu"), None)
    return {
        "verdict": fit.verdict.value, "ctx": fit.ctx, "need": on_gpus(fit), "free MiB": gpu.free_bytes // MIB if gpu else None,
        "layers": gpu.layers if gpu else 0, "reasons": list(fit.reasons), "remedies": list(fit.remedies)}


def partial(setting: Setting) -> None:
    """With little room some layers go to the GPU: as many as predicted, and they take what was predicted."""
    with_engine(setting)
    path = str(setting.model("llama-3.1-8b-instruct"))
    command = setting.services.runtimes.worker_command()
    rows = []
    for leave in (2 * GIB, 4 * GIB):
        with held(leave_bytes=leave):
            setting.services.hardware.report_now()
            fit = setting.services.estimate.fit_installed(path, Request(ctx=8192))
            try:
                assert fit.load_options is not None
                row = _measured(setting, fit, command, f"partial {leave}", is_alone=True)
            except (WorkerError, AssertionError) as error:
                row = {"error": str(error)[:700]}
            gpu = next((device for device in fit.devices if device.kind == "gpu"), None)
            rows.append({"left MiB": leave // MIB, "told": _told(fit), **row})
            if gpu is not None and "measured" in row:
                off = row["off"]
                setting.require(
                    abs(off) <= max(300, TOLERANCE * row["measured"]),
                    f"{leave // MIB} MiB left: predicted {row['predicted']['total']} MiB, measured {row['measured']}")
                setting.require(row["layers"][0] in (gpu.layers, fit.load_options.gpu_layers), "other layers")
            setting.require("error" not in row, f"{leave // MIB} MiB left: {row.get('error')}")
    setting.facts["loads"] = rows


def contexts(setting: Setting) -> None:
    """Longer contexts and other caches: the estimate rises with the context, and the cache shrinks as it should."""
    with_engine(setting)
    path = str(setting.model("llama-3.1-8b-instruct"))
    totals = []
    for ctx in (2048, 8192, 32_768, 131_072):
        fit = setting.services.estimate.fit_installed(path, Request(ctx=ctx))
        smaller = setting.services.estimate.fit_installed(path, Request(ctx=ctx, kv_type=KvType.Q8_0))
        totals.append(fit.total_bytes)
        setting.facts[f"{ctx}"] = {"f16": on_gpus(fit), "q8_0": on_gpus(smaller), "max_ctx": fit.max_ctx}
        setting.require(0.5 <= smaller.kv_bytes / fit.kv_bytes <= 0.56, "q8_0 does not take about half of f16")
    setting.require(all(first < second for first, second in pairwise(totals)), "the total does not rise with the context")
