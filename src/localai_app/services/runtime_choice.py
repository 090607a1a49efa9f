"""The rules by which a build of llama.cpp is chosen, from what self-tests told."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from localai_app.engine.runtimes import Build, Runtime, gpu_runtimes, processor_runtimes
from localai_app.engine.variants import is_likely
from localai_app.services.runtime_memory import Remembered, result_key

SAME_SPEED = 0.9
"""Builds this close to the fastest count as equally fast: a tiny model tells no finer difference."""
STILL_FAST = 0.7
"""The one in use stays while it is this close, so that a computer that is busy during a test does not change builds."""


def choices(builds: Iterable[Build], remembered: Remembered) -> list[Runtime]:
    """The ways to run, best first: each build's GPUs beside its best variant for the processor, then those variants."""
    found: list[Runtime] = []
    for build in builds:
        processors = processor_runtimes(build)
        best = fastest(processors, remembered) or (processors[0] if processors else None)
        if best is not None:
            found += gpu_runtimes(build, best)
        found += processors
    return found


def pick(among: Sequence[Runtime], remembered: Remembered) -> Runtime | None:
    """The best that passed: of the newest build that has one, a GPU's before the processor's fastest."""
    for build in dict.fromkeys(each.build for each in among):
        of_build = [each for each in among if each.build == build]
        with_gpu = [each for each in of_build if each.uses_gpu]
        picked = fastest(with_gpu, remembered) or fastest([each for each in of_build if not each.uses_gpu], remembered)
        if picked is not None:
            return picked
    return None


def fastest(among: Sequence[Runtime], remembered: Remembered) -> Runtime | None:
    """The first of the fastest that passed, or the one in use while it is not far behind."""
    passed = [
        (result.speed, each) for each in among if (result := remembered.results.get(result_key(each))) and result.passed]
    best = max((speed for speed, _each in passed), default=0.0)
    in_use = next(
        (each for speed, each in passed if _is_in_use(each, remembered.chosen) and speed >= STILL_FAST * best), None)
    return in_use or next((each for speed, each in passed if speed >= SAME_SPEED * best), None)


def next_processor(build: Build, remembered: Remembered, instruction_sets: Collection[str]) -> Runtime | None:
    """The variant that should be tested next: the best that the processor should be able to run, else the best."""
    untested = [each for each in processor_runtimes(build) if result_key(each) not in remembered.results]
    return next((each for each in untested if is_likely(each.variant, instruction_sets)), untested[0] if untested else None)


def fault(runtime: Runtime, remembered: Remembered) -> str | None:
    """Why a build failed, where it should have worked."""
    result = remembered.results.get(result_key(runtime))
    return result.reason if result is not None and not result.passed and not result.is_unsupported else None


def worst_fault(
    among: Sequence[Runtime], remembered: Remembered, picked: Runtime, before: Runtime | None,
) -> tuple[Runtime, str] | None:
    """What people should hear of: the build that was in use failed, or, the first time, one that would go before `picked`."""
    beside = next((each for each in among if not each.uses_gpu and set(each.backends) <= set(picked.backends)), picked)
    better = [each for each in among[: among.index(beside)] if each != picked]
    candidates = better if before is None else [before]
    return next(((each, reason) for each in candidates if (reason := fault(each, remembered)) is not None), None)


def _is_in_use(runtime: Runtime, chosen: str) -> bool:
    """Whether it is what was chosen, or the processor's part of that."""
    build, _slash, variant = runtime.key.partition("/")
    return runtime.key == chosen or (chosen.startswith(f"{build}/") and chosen.endswith(f"+{variant}"))
