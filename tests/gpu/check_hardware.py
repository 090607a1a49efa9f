"""What is detected, beside `nvidia-smi`; and which build of the engine is chosen."""

from __future__ import annotations

import shutil
import subprocess
import time

import msgspec

from localai_app.fit.gpu_table import load_gpu_table
from localai_app.hardware.energy import EnergyMeter, energy_between
from localai_app.paths import resources_dir
from localai_app.services.runtime_words import result_words
from tests.gpu.driver import held
from tests.gpu.setting import MIB, Setting, with_engine

_QUESTION = "name,memory.total,memory.used,memory.free,memory.reserved,driver_version,compute_cap"
GIB = 1024 * MIB


def detected(setting: Setting) -> None:
    """The report equals nvidia-smi's figures, and the engine sees the same card."""
    started_s = time.monotonic()
    with_engine(setting)
    report = setting.services.hardware.report
    assert report is not None
    said = subprocess.run(
        ["nvidia-smi", f"--query-gpu={_QUESTION}", "--format=csv,noheader,nounits"], capture_output=True, text=True, timeout=30,
        check=True).stdout.splitlines()[0]
    name, total, used, free, reserved, driver, capability = (word.strip() for word in said.split(","))
    setting.facts |= {
        "seconds": time.monotonic() - started_s, "nvidia-smi": dict(zip(_QUESTION.split(","), said.split(", "), strict=False)),
        "report": msgspec.to_builtins(report)}
    setting.require(bool(report.gpus), "no GPU was detected")
    if not report.gpus:
        return
    gpu = report.gpus[0]
    setting.require(gpu.name == name, f"the name is {gpu.name} and not {name}")
    setting.require(gpu.driver == driver, f"the driver is {gpu.driver} and not {driver}")
    setting.require(gpu.compute_capability == capability, f"compute capability {gpu.compute_capability} and not {capability}")
    setting.require(abs((gpu.total_bytes or 0) / MIB - float(total)) < 2, f"{gpu.total_bytes} bytes in all and not {total} MiB")
    setting.require(abs((gpu.free_bytes or 0) / MIB - float(free)) < 700, f"{gpu.free_bytes} bytes free and not {free} MiB")
    setting.facts["used, reserved by nvidia-smi"] = [used, reserved]
    spec = load_gpu_table(resources_dir() / "catalog" / "gpus.json").find(gpu.name, gpu.total_bytes)
    setting.facts["table"] = msgspec.to_builtins(spec) if spec is not None else None
    setting.require(spec is not None, f"the table of GPUs does not know {gpu.name}")
    devices = [device for device in report.engine_devices or () if device.kind == "gpu"]
    setting.require(bool(devices), "the engine lists no GPU")


def runtimes(setting: Setting) -> None:
    """Every build that is not known yet is tested, for all checks after this one; one with a GPU is chosen."""
    started_s = time.monotonic()
    setting.services.runtimes.chosen()
    rows = setting.services.runtimes.rows()
    setting.facts["seconds"] = time.monotonic() - started_s
    results = setting.services.paths.cache / "runtimes.json"
    if results.is_file():
        known = setting.shared / "profile" / "cache"
        known.mkdir(parents=True, exist_ok=True)
        shutil.copy(results, known / results.name)
    setting.facts["refused"] = list(setting.services.runtimes.refused())
    setting.facts["builds"] = {
        row.runtime.key: {
            "words": result_words(row.result), "in use": row.is_chosen,
            "result": msgspec.to_builtins(row.result) if row.result is not None else None}
        for row in rows}
    setting.require(any(row.is_chosen and row.runtime.uses_gpu for row in rows), "no build with a GPU is in use")


def energy(setting: Setting) -> None:
    """The counter of the GPU moves, by about what the driver calls its power."""
    with EnergyMeter() as meter, held(n_bytes=GIB):
        before = meter.read()
        time.sleep(2.0)
        after = meter.read()
    found = energy_between(before, after)
    setting.facts["watts while idle with a context"] = (found.gpu_j or 0.0) / (after.time_s - before.time_s)
    setting.require(bool(found.gpu_j), "the GPU's energy is not counted")
    before_held = setting.driver.used()
    with held(n_bytes=GIB):
        during = setting.driver.used()
    setting.facts["used MiB of a program that holds 1 GiB"] = (during.total - before_held.total) // MIB
    setting.facts["processes that the driver names"] = len(during.by_pid)
