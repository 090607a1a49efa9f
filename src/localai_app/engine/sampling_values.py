"""Values of the sampling that somebody set (for a chat, for a model, in a preset), the rest being left to others."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from localai_app.engine.sampling import SPEC_OF, LogitBias, Sampling


class SamplingValues(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is set; a number that is not in `numbers` and whatever is None is not."""

    numbers: dict[str, float] = {}
    """By the key of its `SamplingSpec`."""
    stop: tuple[str, ...] | None = None
    logit_bias: tuple[LogitBias, ...] | None = None
    grammar: str | None = None
    json_schema: str | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is set."""
        return self == SamplingValues()

    def with_number(self, key: str, value: float | None) -> SamplingValues:
        """The same with one number set, or left to others (None)."""
        numbers = {known: number for known, number in self.numbers.items() if known != key}
        if value is not None:
            numbers[key] = SPEC_OF[key].typed(value)
        return msgspec.structs.replace(self, numbers=numbers)

    def known(self) -> SamplingValues:
        """The same without numbers that this version does not know or that are out of range, as a later one may store."""
        return msgspec.structs.replace(self, numbers=known_numbers(self.numbers))

    def applied_to(self, sampling: Sampling) -> Sampling:
        """A sampling with what is set here in place of its own. A grammar replaces a schema and the other way round."""
        changes: dict[str, object] = {
            key: SPEC_OF[key].typed(value) for key, value in self.numbers.items() if not _problem(key, value)}
        if self.stop is not None:
            changes["stop"] = self.stop
        if self.logit_bias is not None:
            changes["logit_bias"] = self.logit_bias
        if self.grammar is not None or self.json_schema is not None:
            changes |= {"grammar": self.grammar or "", "json_schema": self.json_schema or ""}
        return msgspec.structs.replace(sampling, **changes)


def known_numbers(numbers: Mapping[str, float]) -> dict[str, float]:
    """The numbers that exist and are within their ranges."""
    return {key: SPEC_OF[key].typed(value) for key, value in numbers.items() if not _problem(key, value)}


def _problem(key: str, value: float) -> str:
    spec = SPEC_OF.get(key)
    return spec.problem(value) if spec is not None else "unknown"
