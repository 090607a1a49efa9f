"""The fit of a placement that llama.cpp itself has planned: chosen by formula, checked, and chosen again where it overflows."""

from __future__ import annotations

from collections.abc import Callable

from localai_app.engine.protocol import LoadOptions, PlannedBuffer
from localai_app.fit.decide import Machine, decide_on, machine_of, memory_of
from localai_app.fit.exact import ExactPlan, surcharges_after
from localai_app.fit.result import FitResult, Request, Subject

MORE_ROUNDS = 3
"""Each makes the plan smaller by what the one before took too much, so the first of them nearly always fits."""


def exact_fit(
    plan: Callable[[LoadOptions], tuple[PlannedBuffer, ...] | None], subject: Subject, request: Request, machine: Machine,
) -> FitResult:
    """The fit with llama.cpp's own figures for its placement on GPUs; the formulas' where `plan` knows nothing.

    `plan` answers what a load takes on each device. Where that is more than may be used there, the difference is kept free
    in the next round, which is planned again.
    """
    surcharges: tuple[tuple[str, int], ...] = ()
    memory = memory_of(subject, request, machine.hardware.cpu)
    for _round in range(1 + MORE_ROUNDS):
        chosen = decide_on(machine, subject, request, memory=memory)
        options = chosen.load_options
        buffers = plan(options) if options is not None and options.devices else None
        if options is None or buffers is None:
            return chosen
        exact = decide_on(machine, subject, request, memory=memory, exact=ExactPlan(options=options, buffers=buffers))
        more = surcharges_after(chosen, exact, surcharges)
        if more is None:
            return exact
        surcharges = more
        machine = machine_of(machine.hardware, request, machine.gpus, surcharges, machine.calibration)
    return decide_on(machine, subject, request, memory=memory)
