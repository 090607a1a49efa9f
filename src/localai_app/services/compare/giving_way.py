"""Lets a running comparison give its memory back before it is planned how another model is loaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from localai_app.fit.result import Request
from localai_app.services.engine_control import MakePlan
from localai_app.services.load_way import LoadPlan
from localai_app.services.views import LoadedModel


class PlanAfterComparison:
    """A `MakePlan` in the engine's control thread, which may wait for the end of workers."""

    def __init__(self, plan: MakePlan, give_way: Callable[[], None]) -> None:
        self._plan = plan
        self._give_way = give_way

    def __call__(
        self, model_key: str, request: Request | None = None, *, anyway: bool = False,
        instead_of: Sequence[LoadedModel] = (),
    ) -> LoadPlan:
        """The plan, once a comparison is out of the way."""
        self._give_way()
        return self._plan(model_key, request, anyway=anyway, instead_of=instead_of)
