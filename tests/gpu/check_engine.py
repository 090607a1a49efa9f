"""The engine as the program drives it: loads in turn, one that is too large, models side by side, a worker that is killed."""

from __future__ import annotations

import os
import signal
import time

from localai_app.engine.protocol import ChatMessage, Sampling
from localai_app.fit.result import Request
from localai_app.services.events import EngineFailed, ModelLoaded, ModelUnloaded, WorkerDied
from localai_app.services.views import EngineStatus
from tests.gpu.driver import held
from tests.gpu.setting import MIB, Setting, on_gpus, with_engine
from tests.helpers.engine_bench import Sink
from tests.helpers.services_fixture import EventRecorder, wait_until

GIB = 1024 * MIB
BASELINE_BYTES = 50 * MIB
LOAD_S = 90.0
CYCLES = 20


def load_and_unload(setting: Setting) -> None:
    """Twenty times; each time the memory comes back."""
    with_engine(setting)
    path = str(setting.model("llama-3.2-1b-instruct", "Q8_0"))
    recorder = EventRecorder(setting.services)
    baseline = setting.driver.used().total
    rows = []
    for number in range(1, CYCLES + 1):
        started_s = time.monotonic()
        setting.services.engine.load(path)
        recorder.wait_for(ModelLoaded, number, LOAD_S)
        loaded = setting.driver.used().total
        setting.services.engine.unload()
        recorder.wait_for(ModelUnloaded, number, LOAD_S)
        after = setting.driver.settled(baseline, BASELINE_BYTES)
        rows.append([(loaded - baseline) // MIB, (after - baseline) // MIB, round(time.monotonic() - started_s, 2)])
        setting.require(abs(after - baseline) <= BASELINE_BYTES, f"after load {number}: {(after - baseline) // MIB:+d} MiB")
    recorder.close()
    setting.facts["loaded, after unloading (MiB above the start), seconds"] = rows
    setting.facts["given back by the last event, MiB"] = recorder.of(ModelUnloaded)[-1].__dict__ if hasattr(
        recorder.of(ModelUnloaded)[-1], "__dict__") else str(recorder.of(ModelUnloaded)[-1])


def far_too_large(setting: Setting) -> None:
    """A model that does not fit, loaded all the same with all layers on the GPU: the load steps down, or says why not."""
    with_engine(setting)
    path = str(setting.model("llama-3.1-8b-instruct"))
    for leave in (3 * GIB, 700 * MIB):
        recorder = EventRecorder(setting.services)
        with held(leave_bytes=leave):
            setting.services.hardware.report_now()
            setting.services.engine.load(path, Request(ctx=8192, gpu_layers=33), anyway=True)
            wait_until(lambda: bool(recorder.of(ModelLoaded) or recorder.of(EngineFailed)), LOAD_S)  # noqa: B023
            state = setting.services.engine.state
            answer = _answer(setting) if state.status is EngineStatus.READY else "not loaded"
            setting.facts[f"{leave // MIB} MiB left"] = {
                "status": state.status.value, "steps": list(state.steps), "reduced": state.reduced,
                "gpu_layers": state.options.gpu_layers if state.options else None,
                "ctx": state.options.ctx if state.options else 0,
                "error": str(state.error) if state.error else "", "answer": answer,
                "deaths": [str(event.outcome.cause) for event in recorder.of(WorkerDied)]}
            setting.require(state.status in (EngineStatus.READY, EngineStatus.FAILED), f"the state is {state.status}")
            setting.require(bool(state.steps) or state.error is not None, "it was loaded whole, so nothing was shown")
            setting.services.engine.unload()
            wait_until(lambda: setting.services.engine.state.status is EngineStatus.NONE, 20)
        recorder.close()


def side_by_side(setting: Setting) -> None:
    """Two models at once take what both were predicted to take; each answers."""
    with_engine(setting)
    first = str(setting.model("llama-3.1-8b-instruct"))
    second = str(setting.model("llama-3.2-1b-instruct", "Q8_0"))
    recorder = EventRecorder(setting.services)
    baseline = setting.driver.used().total
    engine = setting.services.engine
    engine.load(first)
    recorder.wait_for(ModelLoaded, 1, LOAD_S)
    one = setting.driver.used().total - baseline
    engine.load(second, keep_others=True)
    recorder.wait_for(ModelLoaded, 2, LOAD_S)
    answers = [_answer(setting, key) for key in (engine.loaded()[0].key, engine.loaded()[1].key)]
    both = setting.driver.used().total - baseline
    fits = [model.state.fit for model in engine.loaded() if model.state.fit is not None]
    predicted = sum(on_gpus(fit)["total"] for fit in fits)
    setting.facts |= {
        "first alone MiB": one // MIB, "both MiB": both // MIB, "predicted MiB": [on_gpus(fit) for fit in fits],
        "answers": answers, "models": len(engine.loaded())}
    setting.require(len(engine.loaded()) == 2, f"{len(engine.loaded())} models are loaded")
    setting.require(
        abs(both // MIB - predicted) <= max(2 * 300, 0.05 * predicted), f"predicted {predicted} MiB, measured {both // MIB}")
    engine.unload()
    engine.unload()
    recorder.close()


def killed(setting: Setting) -> None:
    """SIGKILL in the middle of an answer: what was said stays, the memory comes back, the model loads again."""
    with_engine(setting)
    path = str(setting.model("llama-3.1-8b-instruct"))
    recorder = EventRecorder(setting.services)
    engine = setting.services.engine
    baseline = setting.driver.used().total
    engine.load(path)
    recorder.wait_for(ModelLoaded, 1, LOAD_S)
    sink = Sink()
    engine.chat((ChatMessage(role="user", content="Go on for long"),), Sampling(max_tokens=4000), sink)
    wait_until(lambda: len(sink.text) > 200, 20)
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGKILL)
    killed_s = time.monotonic()
    wait_until(lambda: bool(sink.ends), 20)
    told_s = time.monotonic() - killed_s
    after = setting.driver.settled(baseline, BASELINE_BYTES)
    died = recorder.of(WorkerDied)
    setting.facts |= {
        "text kept": len(sink.text), "told after s": told_s, "ended as": str(sink.ends[-1])[:300],
        "cause": died[-1].outcome.cause if died else "", "left MiB": (after - baseline) // MIB}
    setting.require(told_s < 2, f"it was told after {told_s:.1f} s")
    setting.require(after - baseline <= BASELINE_BYTES, f"{(after - baseline) // MIB} MiB stay taken")
    engine.load(path)
    recorder.wait_for(ModelLoaded, 2, LOAD_S)
    setting.facts["after loading again"] = _answer(setting)
    engine.unload()
    recorder.close()


def measured_overhead(setting: Setting) -> None:
    """What the program itself remembers of a load: the driver's context, beyond llama.cpp's buffers."""
    with_engine(setting)
    path = str(setting.model("llama-3.1-8b-instruct"))
    recorder = EventRecorder(setting.services)
    before = on_gpus(setting.services.estimate.fit_installed(path))
    setting.services.engine.load(path)
    recorder.wait_for(ModelLoaded, 1, LOAD_S)
    setting.facts["answer"] = _answer(setting)
    time.sleep(1.0)
    after = on_gpus(setting.services.estimate.fit_installed(path))
    rows = setting.services.store.measurements.newest(10) if hasattr(setting.services.store.measurements, "newest") else []
    setting.facts |= {"fit before": before, "fit after": after, "remembered": [str(row)[:600] for row in rows]}
    setting.services.engine.unload()
    recorder.close()


def _answer(setting: Setting, key: str = "") -> dict[str, object]:
    sink = Sink()
    timed: list[object] = []
    setting.services.engine.chat(
        (ChatMessage(role="user", content="Tell me of the lighthouse"),), Sampling(max_tokens=64, temperature=0.0), sink,
        model_key=key)
    wait_until(lambda: bool(sink.ends), 60)
    return {"end": str(sink.ends[-1])[:200], "characters": len(sink.text), **({"timed": timed} if timed else {})}


