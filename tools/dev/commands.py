"""The commands of dev.py, from the set-up on."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tools.dev import engine, models, stamp
from tools.dev.console import StepError, Steps, format_seconds
from tools.dev.environment import (
    REQUIREMENTS,
    ROOT,
    cache_dir,
    clean_environment,
    install_app,
    install_locked,
    lock_blocks,
    lock_without_qt,
    make_venv,
)
from tools.dev.prerequisites import missing_compiler

NO_QT_VENV = ".venv-noqt"
PACKAGE_VENV = ".venv-package"
PREPARE = "--prepare"
"""In place of targets: make the environment for packages and nothing else, so that a job sees how long each takes."""


def main(command: str, arguments: Sequence[str]) -> int:
    """Carry out a command; failures are one line."""
    try:
        if command == "run":
            return _run(arguments)
        if command == "demo":
            from tools.dev import demo

            set_up()
            return demo.run_demo(arguments, models.fetch_models_once(_python()))
        if command == "package":
            return _package(arguments)
        from tools.dev import testing

        set_up(with_tests=True)
        if not arguments:
            set_up_without_qt()
        return testing.run_tests(arguments, models.fetch_models_once(_python()))
    except StepError as failure:
        print(f"dev.py: {failure}", file=sys.stderr)
    except KeyboardInterrupt:
        print("\ndev.py: stopped; the next run goes on from here.", file=sys.stderr)
    return 1


def _python() -> Path:
    return stamp.venv_python(ROOT)


def _run(arguments: Sequence[str]) -> int:
    set_up()
    print("Local AI opens.", file=sys.stderr, flush=True)
    return subprocess.call([_python(), "-m", "localai_app", *arguments])


def _package(targets: Sequence[str]) -> int:
    python = set_up_for_packages()
    if list(targets) == [PREPARE]:
        return 0
    return subprocess.call([python, "-m", "tools.package", *targets], cwd=ROOT, env=clean_environment())


def set_up_for_packages() -> Path:
    """Make the environment that packages are made in, which has what users get and what makes it; its interpreter."""
    if not stamp.is_ready(ROOT, "package", PACKAGE_VENV):
        plan = engine.Plan(engine.BINDINGS_ONLY)
        steps = Steps(2)
        with steps.step(f"Environment for packages, {PACKAGE_VENV}"):
            python = make_venv(ROOT / PACKAGE_VENV, "venv-package")
            install_locked(python, REQUIREMENTS / "package.txt", REQUIREMENTS / "build.txt", log_name="packages-package")
            install_app(python, "app-package")
        with steps.step("Python bindings of the engine"):
            engine.install_wheel(python, engine.cached_wheel(plan) or engine.build_wheel(plan), "engine-package")
        stamp.write(ROOT, "package", PACKAGE_VENV)
    return stamp.venv_python(ROOT, PACKAGE_VENV)


def set_up(*, with_tests: bool = False) -> None:
    """Make .venv complete, or return at once if it is. Each step can be interrupted and is then done again."""
    name = "test" if with_tests else "run"
    if stamp.is_ready(ROOT) and stamp.is_ready(ROOT, name):
        return
    started = time.monotonic()
    plan = engine.plan_build()
    wheel = engine.cached_wheel(plan)
    if wheel is None and (problem := missing_compiler()):
        raise StepError(problem)
    lock = REQUIREMENTS / ("test.txt" if with_tests else "lock.txt")
    print(f"Setting up Local AI in {ROOT} (needed once).", file=sys.stderr, flush=True)
    steps = Steps(5)
    with steps.step("Python environment .venv"):
        python = make_venv(ROOT / stamp.VENV, "venv")
    with steps.step(f"{len(lock_blocks(lock))} pinned packages"):
        install_locked(python, lock, REQUIREMENTS / "build.txt", log_name="packages")
    with steps.step(_engine_title(plan, is_compiled=wheel is not None)):
        if wheel is None:
            plan, wheel = _build_with_fallback(plan)
        engine.install_wheel(python, wheel, "engine-install")
    with steps.step("Local AI itself"):
        install_app(python, "app")
    with steps.step("Check of the engine"):
        summary = engine.check_engine(python, plan)
    stamp.write(ROOT)
    if with_tests:
        stamp.write(ROOT, "test")
    print(f"Ready after {format_seconds(time.monotonic() - started)}; engine {summary}.", file=sys.stderr, flush=True)


def _engine_title(plan: engine.Plan, *, is_compiled: bool) -> str:
    remark = f", {plan.remark}" if plan.remark else ""
    work = "compiled earlier" if is_compiled else "compiling, takes some minutes"
    return f"Engine {engine.engine_requirement()} ({work}{remark})"


def _build_with_fallback(plan: engine.Plan) -> tuple[engine.Plan, Path]:
    try:
        return plan, engine.build_wheel(plan)
    except StepError as failure:
        if not plan.uses_cuda or "LOCALAI_CUDA=1" in plan.remark:
            raise
        print(f"The CUDA build failed, so the engine is built without it. {failure}", file=sys.stderr, flush=True)
    portable = engine.Plan(engine.PORTABLE_FLAGS)
    return portable, engine.cached_wheel(portable) or engine.build_wheel(portable)


def set_up_without_qt() -> None:
    """Make the second environment, which lacks Qt, so that the unit tests prove the core free of it."""
    if stamp.is_ready(ROOT, "test", NO_QT_VENV):
        return
    steps = Steps(2)
    with steps.step(f"Second environment without Qt, {NO_QT_VENV}"):
        python = make_venv(ROOT / NO_QT_VENV, "venv-noqt")
        lock = lock_without_qt(REQUIREMENTS / "test.txt")
        install_locked(python, lock, REQUIREMENTS / "build.txt", log_name="packages-noqt")
        install_app(python, "app-noqt")
    with steps.step("Engine in the second environment"):
        plan = engine.plan_build()
        wheel = engine.cached_wheel(plan) or engine.cached_wheel(engine.Plan(engine.PORTABLE_FLAGS))
        if wheel is None:
            raise StepError(f"No compiled engine is in {cache_dir()}: remove .venv and try again.")
        engine.install_wheel(python, wheel, "engine-noqt")
    stamp.write(ROOT, "test", NO_QT_VENV)
