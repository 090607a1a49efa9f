"""Standings from the store: read once, read again after a vote, without what was deleted."""

from __future__ import annotations

from pathlib import Path

from localai_app.compare.comparison import Verdict, Vote
from localai_app.compare.leaderboard import Judges
from localai_app.services.app_services import AppServices
from tests.helpers.judged import judged, keep
from tests.helpers.program import run_program
from tests.helpers.services_fixture import open_services


def names(services: AppServices) -> list[str]:
    return [row.name for row in services.compare.leaderboard.standings().rows]


def test_votes_count_as_soon_as_they_are_given_or_taken_back(tmp_path: Path) -> None:
    with open_services(tmp_path) as services:
        assert names(services) == []
        number = keep(services.store, judged((0, 1), 0, n_prompts=3))
        comparisons = services.compare.comparisons
        assert services.compare.leaderboard.standings().n_votes == 0
        comparisons.vote(number, Vote(prompt=0, repeat=0, verdict=Verdict.BEST, winner=1))
        assert names(services) == ["Gemma 3 12B Q4_K_M", "Qwen3 14B Q4_K_M"]
        comparisons.vote(number, Vote(prompt=0, repeat=0, verdict=Verdict.BEST, winner=0))
        assert names(services) == ["Qwen3 14B Q4_K_M", "Gemma 3 12B Q4_K_M"]
        comparisons.remove_vote(number, 0, 0)
        assert services.compare.leaderboard.standings().n_votes == 0
        comparisons.vote(number, Vote(prompt=0, repeat=0, verdict=Verdict.TIE, judge="a/judge:Q8_0"))
        assert services.compare.leaderboard.standings(judges=Judges.MODELS).n_votes == 1
        comparisons.delete(number)
        assert names(services) == []


def test_the_command_line_shows_standings_in_words_and_as_json(tmp_path: Path) -> None:
    with open_services(tmp_path) as services:
        keep(services.store, judged((0, 2, 4), 60))
    document = run_program("leaderboard", "--json", "--data-dir", tmp_path).document
    assert document["votes"] == 60
    assert document["rows"][0]["rank"] == 1
    assert {row["name"] for row in document["rows"]} == {"Qwen3 14B Q4_K_M", "Phi-4 Q4_K_M", "Qwen3 4B Q4_K_M"}
    first = document["rows"][0]
    assert first["low"] < first["points"] < first["high"]
    assert first["checked"] == 15
    assert first["words"] == f"wins {100 * _share(document['rows']):.0f}% against {document['rows'][1]['name']}"
    words = run_program("leaderboard", "--tag", "coding", "--data-dir", tmp_path).stdout
    assert "100 points more win 64% of the votes" in words
    first_line = next(line for line in words.splitlines() if line.startswith("1 "))
    assert " 15 " in first_line


def _share(rows: list[dict[str, float]]) -> float:
    return float(1 / (1 + 10 ** ((rows[1]["points"] - rows[0]["points"]) / 400)))
