"""What goes to a contestant's worker for one cell: its turns, or its plain text, and how it is to be sampled."""

from __future__ import annotations

import random
from dataclasses import dataclass

import msgspec

from localai_app.compare.comparison import CellKey, ComparisonSpec
from localai_app.engine.protocol import Chat, ChatMessage, Complete, Overflow, Sampling
from localai_app.engine.sampling import SEED_BOUND
from localai_app.services.chat_settings import ChatSettings
from localai_app.services.sampling_service import SamplingService
from localai_app.services.settings_service import SettingsService
from localai_app.services.vendor_sampling import OFF


@dataclass(frozen=True, slots=True)
class CellRequest:
    """One prompt as it is asked of one contestant."""

    system_prompt: str
    text: str
    sampling: Sampling
    thinking: str | None

    def command(self, request_id: int, *, has_template: bool) -> Chat | Complete:
        """For a worker. A base model, which has no chat template, goes on with the text as it is."""
        if not has_template:
            prompt = f"{self.system_prompt}\n\n{self.text}" if self.system_prompt else self.text
            return Complete(id=request_id, prompt=prompt, sampling=self.sampling)
        system = (ChatMessage(role="system", content=self.system_prompt),) if self.system_prompt else ()
        return Chat(
            id=request_id, messages=(*system, ChatMessage(role="user", content=self.text)), sampling=self.sampling,
            thinking=self.thinking, overflow=Overflow.STOP, conversation=str(request_id))


class CellRequests:
    """Puts together what prompt, contestant, comparison, model and program say, in this order."""

    def __init__(self, settings: SettingsService, sampling: SamplingService) -> None:
        self._settings = settings
        self._sampling = sampling

    def request(self, spec: ComparisonSpec, key: CellKey) -> CellRequest:
        """The request of one cell, with its seed. AppError if the store fails."""
        contestant, prompt = spec.contestants[key.contestant], spec.prompts[key.prompt]
        own = contestant.settings
        base = self._sampling.effective(contestant.model_key, ChatSettings(thinking=own.thinking)).sampling
        sampling = own.sampling.applied_to(spec.sampling.applied_to(base))
        sampling = msgspec.structs.replace(
            sampling, seed=seed_of(spec, key), logprobs=None,
            max_tokens=spec.max_tokens if spec.max_tokens is not None else sampling.max_tokens)
        system_prompt = next(
            (text for text in (prompt.system_prompt, own.system_prompt, spec.system_prompt) if text is not None),
            self._settings.text("system_prompt"))
        # A shape holds from the first token on, also for thoughts.
        has_shape = bool(sampling.grammar.strip() or sampling.json_schema.strip())
        return CellRequest(system_prompt.strip(), prompt.text, sampling, OFF if has_shape else own.thinking)


def seed_of(spec: ComparisonSpec, key: CellKey) -> int:
    """The same for all contestants of a repeat, or another one each time."""
    if spec.same_seed:
        return (spec.seed + key.repeat) % SEED_BOUND
    return random.SystemRandom().randrange(SEED_BOUND)
