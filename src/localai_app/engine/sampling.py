"""How the next token is chosen: the values as they go to a worker, and each of them declared once for people.

The window, the command line and the checks read `SAMPLING_SPECS`; the defaults are those of `Sampling`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import msgspec

SEED_BOUND = 2**32 - 1
"""Seeds have 32 bits, and this value itself asks llama.cpp for one of its own."""
MAX_LOGPROBS = 20
"""Alternatives listed at most beside each token."""
MAX_BIASES = 1024


class LogitBias(msgspec.Struct, frozen=True, kw_only=True):
    """Makes a token likelier (above 0) or rarer. `token` is its number, or a text whose tokens are all meant."""

    token: int | str
    bias: float
    """Added to the logit; -100 and below forbids the token."""


def parse_bias(text: str) -> LogitBias | None:
    """TOKEN=V as people write it: a token by its number, or all tokens of a text, in quotation marks if it is a number itself.

    None where it is not of this form.
    """
    token, sign, number = text.rpartition("=")
    try:
        bias = float(number)
    except ValueError:
        return None
    if not sign or not token or math.isnan(bias):
        return None
    if token.isdecimal() and len(token) <= 9:
        return LogitBias(token=int(token), bias=bias)
    is_quoted = len(token) > 2 and token[0] == token[-1] == '"'
    return LogitBias(token=token[1:-1] if is_quoted else token, bias=bias)


def bias_text(entry: LogitBias) -> str:
    """The same the other way round."""
    is_like_a_number = isinstance(entry.token, str) and entry.token.isdecimal()
    return f'"{entry.token}"={entry.bias:g}' if is_like_a_number else f"{entry.token}={entry.bias:g}"


class Sampling(msgspec.Struct, frozen=True, kw_only=True):
    """How the next token is chosen; the defaults are llama.cpp's (`common_params_sampling`)."""

    temperature: float = 0.8
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    typical_p: float = 1.0
    xtc_probability: float = 0.0
    xtc_threshold: float = 0.1
    dry_multiplier: float = 0.0
    dry_base: float = 1.75
    dry_allowed_length: int = 2
    dry_window: int = 64
    mirostat: int = 0
    mirostat_tau: float = 5.0
    mirostat_eta: float = 0.1
    repeat_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    penalty_window: int = 64
    logit_bias: tuple[LogitBias, ...] = ()
    seed: int | None = None
    """None: a new one each time."""
    max_tokens: int | None = None
    """None: until the end or a full context."""
    stop: tuple[str, ...] = ()
    grammar: str = ""
    """GBNF that the answer must follow; its start is the rule `root`."""
    json_schema: str = ""
    """JSON Schema that the answer must follow; not together with a grammar."""
    logprobs: int | None = None
    """How many alternatives to list beside each token with their log-probabilities; None: no log-probabilities."""


class SamplingGroup(StrEnum):
    """What belongs together on screen, in this order; all but the first are folded away at first."""

    BASIC = "Sampling"
    PENALTIES = "Repetition"
    DRY = "DRY: repeated phrases"
    ADVANCED = "Advanced"
    MIROSTAT = "Mirostat"


@dataclass(frozen=True, slots=True)
class SamplingSpec:
    """One number of `Sampling`, for people. `off` is the value that changes nothing; None: it has none."""

    key: str
    group: SamplingGroup
    label: str
    help: str
    """One sentence in plain words."""
    minimum: float
    maximum: float
    step: float
    off: float | None = None
    unit: str = ""

    @property
    def default(self) -> float:
        """The program's own value; an `int` where only whole numbers make sense."""
        value: float = getattr(_DEFAULTS, self.key)
        return value

    @property
    def is_whole(self) -> bool:
        """Whether only whole numbers make sense."""
        return isinstance(self.default, int)

    def problem(self, value: float) -> str:
        """What is wrong with a value, as a sentence; empty if nothing is."""
        if not math.isfinite(value) or not self.minimum <= value <= self.maximum:
            return f"Choose a number from {self.minimum:g} to {self.maximum:g}."
        if self.is_whole and value != int(value):
            return "Choose a whole number."
        return ""

    def typed(self, value: float) -> float:
        """A valid value as it stands in `Sampling`."""
        return int(value) if self.is_whole else float(value)


_DEFAULTS = Sampling()
_MAX_WINDOW = 32_768

SAMPLING_SPECS: tuple[SamplingSpec, ...] = (
    SamplingSpec(
        "temperature", SamplingGroup.BASIC, "Temperature",
        "Low values give predictable answers, high values more varied ones; 0 always takes the likeliest token.",
        0.0, 5.0, 0.05),
    SamplingSpec(
        "top_k", SamplingGroup.BASIC, "Top-k", "Only this many of the likeliest tokens may be chosen.", 0, 1000, 1, off=0,
        unit="tokens"),
    SamplingSpec(
        "top_p", SamplingGroup.BASIC, "Top-p", "Only the likeliest tokens that together reach this probability may be chosen.",
        0.0, 1.0, 0.01, off=1.0),
    SamplingSpec(
        "min_p", SamplingGroup.BASIC, "Min-p",
        "Tokens that are less likely than this share of the likeliest one are left out.", 0.0, 1.0, 0.01, off=0.0),
    SamplingSpec(
        "repeat_penalty", SamplingGroup.PENALTIES, "Repeat penalty",
        "Makes tokens that came up lately rarer; above 1.2 answers suffer.", 0.1, 5.0, 0.05, off=1.0),
    SamplingSpec(
        "frequency_penalty", SamplingGroup.PENALTIES, "Frequency penalty",
        "Makes a token rarer each time that it comes up.", -2.0, 2.0, 0.1, off=0.0),
    SamplingSpec(
        "presence_penalty", SamplingGroup.PENALTIES, "Presence penalty",
        "Makes tokens rarer that have come up at all, which leads to new subjects.", -2.0, 2.0, 0.1, off=0.0),
    SamplingSpec(
        "penalty_window", SamplingGroup.PENALTIES, "Penalty window",
        "How many of the latest tokens the three penalties look at.", 1, _MAX_WINDOW, 16, unit="tokens"),
    SamplingSpec(
        "dry_multiplier", SamplingGroup.DRY, "DRY strength",
        "Stops answers that go round in circles: the longer a phrase repeats, the rarer its next token; 0.8 is usual.",
        0.0, 5.0, 0.1, off=0.0),
    SamplingSpec(
        "dry_base", SamplingGroup.DRY, "DRY base", "How fast the strength grows with each further repeated token.",
        1.0, 4.0, 0.05),
    SamplingSpec(
        "dry_allowed_length", SamplingGroup.DRY, "DRY allowed length", "Repeated phrases up to this length go unpunished.",
        1, 100, 1, unit="tokens"),
    SamplingSpec(
        "dry_window", SamplingGroup.DRY, "DRY window", "How many of the latest tokens are searched for repetitions.",
        1, _MAX_WINDOW, 64, unit="tokens"),
    SamplingSpec(
        "typical_p", SamplingGroup.ADVANCED, "Typical-p",
        "Keeps the tokens that are about as surprising as the text so far, up to this probability.", 0.01, 1.0, 0.01, off=1.0),
    SamplingSpec(
        "xtc_probability", SamplingGroup.ADVANCED, "XTC probability",
        "How often the likeliest tokens are passed over for a less obvious one.", 0.0, 1.0, 0.05, off=0.0),
    SamplingSpec(
        "xtc_threshold", SamplingGroup.ADVANCED, "XTC threshold",
        "Of the tokens at least this likely, XTC leaves only the last; above 0.5 it does nothing.", 0.0, 1.0, 0.01),
    SamplingSpec(
        "mirostat", SamplingGroup.MIROSTAT, "Mirostat version",
        "Holds the surprise of the text steady, in place of all other samplers but temperature and token biases.",
        0, 2, 1, off=0),
    SamplingSpec(
        "mirostat_tau", SamplingGroup.MIROSTAT, "Mirostat target", "The surprise to hold; lower is more focused.",
        0.1, 20.0, 0.1, unit="bits"),
    SamplingSpec(
        "mirostat_eta", SamplingGroup.MIROSTAT, "Mirostat rate", "How fast it corrects itself.", 0.01, 1.0, 0.01),
)

SPEC_OF: dict[str, SamplingSpec] = {spec.key: spec for spec in SAMPLING_SPECS}


def sampling_problem(sampling: Sampling) -> str:
    """What is wrong with the values of a `Sampling`, as one sentence; empty if nothing is.

    Whether a grammar or a schema can be used is only known in the worker.
    """
    for spec in SAMPLING_SPECS:
        problem = spec.problem(getattr(sampling, spec.key))
        if problem:
            return f"{spec.label}: {problem}"
    if sampling.logprobs is not None and not 0 <= sampling.logprobs <= MAX_LOGPROBS:
        return f"Log-probabilities: choose a number from 0 to {MAX_LOGPROBS}."
    if len(sampling.logit_bias) > MAX_BIASES:
        return f"Token biases: there may be at most {MAX_BIASES}."
    if any(math.isnan(entry.bias) for entry in sampling.logit_bias):
        return "Token biases: each needs a number."
    if sampling.grammar.strip() and sampling.json_schema.strip():
        return "Choose a grammar or a JSON schema, not both."
    return ""
