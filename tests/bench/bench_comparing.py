"""What running side by side gives, and what running in turn costs beyond loads and answers. Run with `-m bench -s`.

Side by side has to write 0.9 of what the better model writes alone in the same time, or the schedule says that in turn is
faster; in turn may take 5% more than the plain sum of its loads and answers, from the start to the last answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from localai_app.compare.comparison import Comparison, ComparisonSpec, Way
from localai_app.compare.contestant import Contestant
from localai_app.compare.prompts import Prompt
from localai_app.compare.schedule import WORTH_SHARING
from localai_app.services.app_services import AppServices
from localai_app.services.compare.running_state import ContestantPhase
from tests.bench.tables import print_table
from tests.helpers.real_models import gemma_path, smollm2_path
from tests.helpers.services_fixture import open_services

pytestmark = [pytest.mark.bench, pytest.mark.model, pytest.mark.timeout(900)]
MOST_OVERHEAD = 0.05
TOKENS = 64


def spec(keys: list[str], way: Way | None) -> ComparisonSpec:
    prompts = ("Tell me a long story about the sea.", "Describe a forest in winter.")
    return ComparisonSpec(
        contestants=tuple(Contestant(model_key=key, name=Path(key).stem) for key in keys), max_tokens=TOKENS, ctx=1024,
        prompts=tuple(Prompt(text=text) for text in prompts), way=way)


def finished(services: AppServices, wish: ComparisonSpec) -> tuple[Comparison, float]:
    """The comparison, and the seconds from the start of its first load to its last answer."""
    comparisons = services.compare.comparisons
    comparison_id = comparisons.start(wish)
    while not any(phase is ContestantPhase.LOADING for phase in comparisons.state.phases):
        time.sleep(0.01)
    started_s = time.monotonic()
    while comparisons.state.n_done < comparisons.state.n_total:
        time.sleep(0.01)
    seconds = time.monotonic() - started_s
    assert comparisons.wait(60)
    return comparisons.get(comparison_id), seconds


def mean_tps(comparison: Comparison, place: int) -> float:
    speeds = [answer.tps for answer in comparison.answers if answer.contestant == place]
    return sum(speeds) / len(speeds)


@pytest.mark.parametrize("models", [(smollm2_path, gemma_path), (smollm2_path, smollm2_path)], ids=["both", "one twice"])
def test_side_by_side_and_in_turn(tmp_path: Path, models: tuple[Callable[[], Path], ...]) -> None:
    pytest.importorskip("llama_cpp")
    with open_services(tmp_path, echo=None) as services:
        keys = [services.library.link(path()).key for path in models]
        in_turn, seconds = finished(services, spec(keys, Way.IN_TURN))
        plain_s = sum(run.load_s for run in in_turn.runs) + sum(answer.total_s for answer in in_turn.answers)
        overhead = seconds / plain_s - 1
        alone = [mean_tps(in_turn, place) for place in (0, 1)]
        shared, _seconds = finished(services, spec(keys, Way.SIDE_BY_SIDE))
        together = [mean_tps(shared, place) for place in (0, 1)]
        ratio = sum(together) / max(alone)
        advised = services.compare.comparisons.plan(spec(keys, None))
        print_table("Comparing " + " and ".join(Path(key).stem for key in keys), [
            ("alone, tok/s", f"{alone[0]:.1f}, {alone[1]:.1f}"),
            ("side by side, tok/s", f"{together[0]:.1f}, {together[1]:.1f}: {ratio:.2f} of the better alone"),
            ("in turn, s", f"{seconds:.1f}; loads and answers {plain_s:.1f}: {overhead:+.1%}"),
            ("advice", advised.reason)])
    assert overhead < MOST_OVERHEAD
    assert ratio >= WORTH_SHARING or advised.way is Way.IN_TURN
