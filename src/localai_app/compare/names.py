"""What contestants are called, so that no two of one comparison are called the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from localai_app.compare.contestant import Contestant, ContestantSettings
from localai_app.engine.sampling import SPEC_OF
from localai_app.units import format_context

_SHOWN_PROMPT = 24
"""Characters of a system prompt that stand in a name."""


def contestant_names(contestants: Sequence[Contestant]) -> tuple[str, ...]:
    """A name for each, by place: the model's; where that is taken twice with its label, owner and the settings that differ."""
    names = [contestant.name for contestant in contestants]
    names = _told_apart(names, lambda places: [_spaced(contestants[place].label) for place in places])
    names = _told_apart(names, lambda places: _differing([_owner(contestants[place].model_key) for place in places], " ({})"))
    names = _told_apart(names, lambda places: _differences([contestants[place].settings for place in places]))
    while len({name.casefold() for name in names}) < len(names):
        names = _told_apart(names, lambda places: [f" ({i + 1})" for i in range(len(places))])
    return tuple(names)


def full_name(contestant: Contestant) -> str:
    """Model and label."""
    return f"{contestant.name}{_spaced(contestant.label)}"


def settings_words(settings: ContestantSettings) -> str:
    """What a contestant has of its own, for the line under its name: temperature 0.2 · thinking off; empty for nothing."""
    return " · ".join(words for words in _aspects(settings).values())


def _told_apart(names: list[str], ends: Callable[[list[int]], list[str]]) -> list[str]:
    """The same names, those that stand there several times with an end each."""
    places_of: defaultdict[str, list[int]] = defaultdict(list)
    for place, name in enumerate(names):
        places_of[name.casefold()].append(place)
    longer = list(names)
    for places in places_of.values():
        if len(places) > 1:
            for place, end in zip(places, ends(places), strict=True):
                longer[place] += end
    return longer


def _spaced(label: str) -> str:
    return f" {label}" if label else ""


def _owner(model_key: str) -> str:
    return model_key.partition("/")[0] if model_key.count("/") == 1 else ""


def _differing(values: list[str], form: str) -> list[str]:
    return [form.format(value) if value and len(set(values)) > 1 else "" for value in values]


def _differences(settings: list[ContestantSettings]) -> list[str]:
    aspects = [_aspects(one) for one in settings]
    keys = dict.fromkeys(key for known in aspects for key in known)
    differing = [key for key in keys if len({known.get(key) for known in aspects}) > 1]
    return ["".join(f" · {known.get(key, f'default {key}')}" for key in differing) for known in aspects]


def _aspects(settings: ContestantSettings) -> dict[str, str]:
    """What is set, in words, by what it is."""
    found: dict[str, str] = {}
    if settings.thinking is not None:
        found["thinking"] = f"thinking {settings.thinking}"
    for key, value in settings.sampling.numbers.items():
        label = _label(key)
        found[label] = f"{label} {value:g}"
    for name, is_set in (
        ("stop texts", settings.sampling.stop is not None), ("logit bias", settings.sampling.logit_bias is not None),
        ("grammar", bool(settings.sampling.grammar)), ("JSON schema", bool(settings.sampling.json_schema)),
    ):
        if is_set:
            found[name] = f"own {name}"
    if settings.ctx is not None:
        found["context"] = f"{format_context(settings.ctx)} context"
    if settings.kv_type is not None:
        found["KV cache"] = f"{settings.kv_type.value} KV cache"
    if settings.gpu_layers is not None:
        found["GPU layers"] = f"{settings.gpu_layers} GPU layers"
    if settings.system_prompt is not None:
        found["system prompt"] = f"system prompt “{_shortened(settings.system_prompt)}”"
    return found


def _label(key: str) -> str:
    """Of a sampling value inside a sentence."""
    spec = SPEC_OF.get(key)
    label = spec.label if spec is not None else key.replace("_", " ")
    return label[:1].lower() + label[1:]


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN_PROMPT else f"{line[:_SHOWN_PROMPT].rstrip()}…"
