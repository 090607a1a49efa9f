"""2 models, 20 prompts, 2 repeats, and a program that is killed at three random moments."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

from localai_app.compare.comparison import AnswerRecord, CellKey, ComparisonState, Way
from tests.helpers import comparison_program
from tests.helpers.comparisons import install
from tests.helpers.services_fixture import open_services, wait_until

CELLS = 2 * comparison_program.PROMPTS * comparison_program.REPEATS
KILLS = 3
PATIENCE_S = 60.0


def test_what_was_killed_three_times_ends_complete_and_no_finished_cell_runs_twice(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    way = chance.choice(list(Way))
    install(tmp_path)
    with open_services(tmp_path, echo=()) as services:
        # One store for all, opened before anybody writes to it.
        assert services.compare.comparisons.rows() == ()
    comparison_id, known = 0, {}
    for moment in sorted(chance.sample(range(2, CELLS - 2), KILLS)):
        comparison_id = run_until_killed(tmp_path, comparison_id, way, moment, chance.uniform(0.0, 0.1))
        state, answers = kept(tmp_path, comparison_id)
        assert state is ComparisonState.RUNNING
        assert len(answers) >= moment
        assert known.items() <= answers.items(), "a finished cell ran again"
        known = answers
    subprocess.run(command(tmp_path, comparison_id, way), check=True, timeout=120, stdout=subprocess.DEVNULL)
    state, answers = kept(tmp_path, comparison_id)
    assert state is ComparisonState.DONE
    assert len(answers) == CELLS
    assert known.items() <= answers.items(), "a finished cell ran again"
    assert not any(answer.error for answer in answers.values())
    assert len({answer.seed for answer in answers.values()}) == CELLS, "an answer is a copy"


def command(folder: Path, comparison_id: int, way: Way) -> list[str]:
    return [sys.executable, "-m", comparison_program.__name__, str(folder), str(comparison_id), way.value]


def run_until_killed(folder: Path, comparison_id: int, way: Way, n_finished: int, later_s: float) -> int:
    """Kill the program when so many cells are finished, and a moment later; the comparison's number."""
    with subprocess.Popen(command(folder, comparison_id, way), stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        comparison_id = int(program.stdout.readline())
        with open_services(folder, echo=()) as services:
            rows = services.compare.comparisons.rows
            wait_until(lambda: rows()[0].n_answers >= n_finished, PATIENCE_S)
        time.sleep(later_s)
        assert program.poll() is None, "it was over before it was killed"
        program.kill()
    return comparison_id


def kept(folder: Path, comparison_id: int) -> tuple[ComparisonState, dict[CellKey, AnswerRecord]]:
    """What lies in the store."""
    with open_services(folder, echo=()) as services:
        comparison = services.compare.comparisons.get(comparison_id)
    return comparison.state, {answer.key: answer for answer in comparison.answers}
