"""What is set on the Compare page for the next comparison, kept over a restart."""

from __future__ import annotations

import msgspec

from localai_app.compare.comparison import ComparisonSpec, Way
from localai_app.compare.contestant import MAX_CONTESTANTS, Contestant
from localai_app.compare.prompts import Prompt
from localai_app.engine.sampling_values import SamplingValues
from localai_app.services.stored_json import stored_value
from localai_app.store.database import Store

DRAFT_FACT = "compare_draft"


class DraftContestant(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A place for a contestant: None where no model is chosen yet."""

    contestant: Contestant | None = None
    download: tuple[str, str] | None = None
    """Repository and label that are being downloaded for it."""


class CompareDraft(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Contestants and options; the prompt set that was chosen last is chosen anew."""

    contestants: tuple[DraftContestant, ...] = ()
    prompt: str = ""
    seed: int = 42
    same_seed: bool = True
    temperature: float | None = None
    """None: as each model has it."""
    max_tokens: int | None = None
    """None: as the settings say."""
    repeats: int = 1
    way: Way | None = None
    is_blind: bool = False
    hides_speed: bool = True
    scrolls_together: bool = True
    shows_options: bool = False

    @property
    def chosen(self) -> tuple[Contestant, ...]:
        """Those with a model."""
        return tuple(place.contestant for place in self.contestants if place.contestant is not None)

    @property
    def waits_for(self) -> tuple[tuple[str, str], ...]:
        """Downloads, each named once, that have to end before all contestants can run."""
        return tuple(dict.fromkeys(place.download for place in self.contestants if place.download is not None))

    @property
    def is_full(self) -> bool:
        """Whether there is no room for another contestant."""
        return len(self.contestants) >= MAX_CONTESTANTS

    def spec(self, prompts: tuple[Prompt, ...], set_name: str = "") -> ComparisonSpec:
        """What is run: these contestants on these prompts."""
        numbers = {} if self.temperature is None else {"temperature": self.temperature}
        return ComparisonSpec(
            contestants=self.chosen, prompts=prompts, set_name=set_name, repeats=self.repeats, seed=self.seed,
            same_seed=self.same_seed, sampling=SamplingValues(numbers=numbers), max_tokens=self.max_tokens, way=self.way,
            is_blind=self.is_blind, hides_speed=self.is_blind and self.hides_speed)


class CompareDrafts:
    """Reads and keeps the draft. AppError if the store cannot be read or written."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self) -> CompareDraft:
        """As it was left; an empty one where nothing is kept, or what is kept makes no sense."""
        text = self._store.library.get_fact(DRAFT_FACT)
        draft = stored_value(text, CompareDraft, "what was set for the next comparison") or CompareDraft()
        return msgspec.structs.replace(draft, contestants=draft.contestants[:MAX_CONTESTANTS])

    def set(self, draft: CompareDraft) -> None:
        """Keep it."""
        self._store.library.set_fact(DRAFT_FACT, msgspec.json.encode(draft).decode())
