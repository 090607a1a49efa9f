from __future__ import annotations

from localai_app.compare.contestant import MAX_CONTESTANTS, Contestant, ContestantSettings
from localai_app.gui.compare.lineup import Lineup
from localai_app.services.compare.drafts import DraftContestant


def draft(name: str, download: tuple[str, str] | None = None) -> DraftContestant:
    return DraftContestant(contestant=Contestant(model_key=f"owner/{name}:Q4", name=name, label="Q4"), download=download)


def names(lineup: Lineup) -> list[str]:
    return [entry.draft.contestant.name if entry.draft.contestant else "" for entry in lineup.entries]


def compared(*model_names: str) -> Lineup:
    return Lineup.of_comparison([draft(name).contestant for name in model_names])


def test_there_are_always_two_places() -> None:
    assert names(Lineup.of_draft(())) == ["", ""]
    assert names(Lineup.of_draft((draft("a"),))) == ["a", ""]
    assert names(Lineup.of_draft((draft("a"), draft("b"))).without(0)) == ["b", ""]


def test_a_model_takes_the_first_empty_place_and_then_a_new_one() -> None:
    lineup = Lineup.of_draft((draft("a"),)).with_model(draft("b")).with_model(draft("c"))
    assert names(lineup) == ["a", "b", "c"]


def test_no_more_than_six() -> None:
    lineup = Lineup.of_draft(tuple(draft(str(number)) for number in range(MAX_CONTESTANTS)))
    assert lineup.is_full
    assert lineup.duplicated(0) == lineup


def test_moving_and_duplicating_keep_the_answers_with_who_gave_them() -> None:
    lineup = compared("a", "b", "c").moved(0, 1)
    assert names(lineup) == ["b", "a", "c"]
    assert [entry.place for entry in lineup.entries] == [1, 0, 2]
    assert lineup.shows_all_of(3)
    assert lineup.moved(0, -1) == lineup
    doubled = lineup.duplicated(0)
    assert names(doubled) == ["b", "b", "a", "c"]
    assert [entry.place for entry in doubled.entries] == [1, None, 0, 2]
    assert not doubled.shows_all_of(3)


def test_a_changed_contestant_has_no_answers() -> None:
    lineup = compared("a", "b")
    hot = ContestantSettings(ctx=4096)
    changed = lineup.with_settings(1, hot)
    assert [entry.place for entry in changed.entries] == [0, None]
    assert changed.entries[1].draft.contestant.settings == hot
    assert lineup.with_settings(1, ContestantSettings()) == lineup
    assert not changed.shows_all_of(2)
    assert [entry.place for entry in lineup.detached().entries] == [None, None]


def test_a_download_that_ended_is_no_longer_waited_for() -> None:
    waiting = Lineup.of_draft((draft("a"), draft("b", ("owner/b", "Q4"))))
    assert waiting.after_download("owner/other", "Q4") == waiting
    assert all(entry.draft.download is None for entry in waiting.after_download("owner/b", "Q4").entries)
