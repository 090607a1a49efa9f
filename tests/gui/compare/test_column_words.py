from __future__ import annotations

import pytest

from localai_app.compare.comparison import AnswerRecord, ContestantRun
from localai_app.engine.protocol import GenerationStats
from localai_app.gui.compare.column_words import (
    RUNNING_STATES,
    CellState,
    Figures,
    answer_figures,
    live_figures,
    pill,
    veiled_pill,
)

GIB = 1024**3
RUN = ContestantRun(contestant=0, load_s=2.84, peak_bytes=round(9.7 * GIB))


def test_a_pill_tells_how_much_of_a_load_or_a_download_is_done() -> None:
    assert pill(CellState.LOADING, 0.43) == ("loading 43%", "accent")
    assert pill(CellState.DOWNLOADING, 0.999) == ("downloading 99%", "accent")
    assert pill(CellState.WARMING_UP, 1.0) == ("warming up", "accent")
    assert pill(CellState.WRITING) == ("writing", "good")
    assert pill(CellState.FAILED) == ("failed", "bad")


@pytest.mark.parametrize("state", RUNNING_STATES)
def test_while_names_are_hidden_all_work_looks_the_same(state: CellState) -> None:
    assert veiled_pill(state, hides_speed=False, all_ended=False) == ("answering", "accent")


def test_who_is_ready_first_is_not_told_where_the_speed_is_hidden() -> None:
    for state in (CellState.WAITING, CellState.LOADING, CellState.DONE, CellState.FAILED):
        assert veiled_pill(state, hides_speed=True, all_ended=False) == ("answering", "accent")
    assert veiled_pill(CellState.DONE, hides_speed=True, all_ended=True) == ("done", "neutral")
    assert veiled_pill(CellState.DONE, hides_speed=False, all_ended=False) == ("done", "neutral")


def test_figures_of_a_finished_answer() -> None:
    answer = AnswerRecord(
        contestant=0, prompt=0, repeat=0, tokens=1412, tps=37.94, ttft_s=0.31, prompt_tps=1840.0, thinking_s=2.0, total_s=11.0,
        gpu_j=300.0, processor_j=20.0, is_shared=True)
    figures = answer_figures(answer, RUN)
    assert figures.speed == "37.9"
    assert figures.first == "first 0.31 s"
    assert figures.rest == ("load 2.8 s", "peak 9.7 GiB", "1,412 tokens", "prompt 1,840 tok/s", "320 J")
    assert figures.is_shared
    assert "by the GPU" in figures.help
    assert "Thought for 2.0 s." in figures.help


def test_what_is_not_known_is_left_out() -> None:
    assert answer_figures(None, None) == Figures()
    assert answer_figures(AnswerRecord(contestant=0, prompt=0, repeat=0, tokens=1), None).rest == ("1 token",)


def test_figures_of_the_load_can_be_kept_back() -> None:
    answer = AnswerRecord(contestant=0, prompt=0, repeat=0, tokens=5, tps=10.0)
    assert answer_figures(answer, RUN, shows_load=False).rest == ("5 tokens",)


def test_figures_of_an_answer_that_streams() -> None:
    stats = GenerationStats(prompt_tokens=10, completion_tokens=21, prompt_s=0.1, completion_s=2.0, ttft_s=0.25)
    figures = live_figures(stats, RUN, is_shared=True)
    assert (figures.speed, figures.first) == ("10.0", "first 0.25 s")
    assert figures.rest == ("load 2.8 s", "peak 9.7 GiB", "21 tokens", "prompt 100 tok/s")
    assert figures.is_shared
