"""How an answer is sampled, from the command line: one option for each declared number, and the rest of the sampling."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from localai_app.engine.sampling import (
    MAX_LOGPROBS,
    SAMPLING_SPECS,
    SEED_BOUND,
    SPEC_OF,
    LogitBias,
    Sampling,
    SamplingSpec,
    parse_bias,
)
from localai_app.engine.sampling_values import SamplingValues
from localai_app.errors import FILE_UNREADABLE, AppError
from localai_app.services.chat_settings import ChatSettings
from localai_app.services.sampling_service import SamplingService

MAX_FILE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class SamplingChoices:
    """What was given on the command line; None and empty where nothing was."""

    values: SamplingValues
    seed: int | None = None
    max_tokens: int | None = None
    logprobs: int | None = None
    preset: str | None = None

    def settings_values(self, service: SamplingService) -> SamplingValues:
        """The values of the preset, if one was named, with those of the options in their place."""
        if self.preset is None:
            return self.values
        presets = {preset.name.lower(): preset.values for preset in service.presets()}
        chosen = presets.get(self.preset.lower())
        if chosen is None:
            names = ", ".join(preset.name for preset in service.presets())
            raise typer.BadParameter(f"there is no preset of this name; there are: {names}", param_hint="--preset")
        own = self.values
        return SamplingValues(
            numbers=chosen.numbers | own.numbers, stop=own.stop if own.stop is not None else chosen.stop,
            logit_bias=own.logit_bias if own.logit_bias is not None else chosen.logit_bias,
            grammar=own.grammar if own.grammar or own.json_schema else chosen.grammar,
            json_schema=own.json_schema if own.grammar or own.json_schema else chosen.json_schema)


def with_sampling_options(command: Callable[..., None]) -> Callable[..., None]:
    """A command with all options of the sampling, which it gets together as `sampling: SamplingChoices`."""
    signature = inspect.signature(command, eval_str=True)
    options = _options()

    @functools.wraps(command)
    def wrapped(**given: Any) -> None:
        own = {name: given.pop(name) for name in options}
        command(**given, sampling=_choices(own))

    parameters = [parameter for name, parameter in signature.parameters.items() if name != "sampling"]
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in options.items()]
    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters]
    wrapped.__signature__ = signature.replace(parameters=[*parameters, *added])  # type: ignore[attr-defined]
    wrapped.__annotations__ = {parameter.name: parameter.annotation for parameter in [*parameters, *added]}
    return wrapped


def _options() -> dict[str, Any]:
    numbers: dict[str, Any] = {spec.key: _number_option(spec) for spec in SAMPLING_SPECS}
    return numbers | {
        "seed": Annotated[int | None, typer.Option(
            "--seed", min=0, max=SEED_BOUND - 1, help="The same seed gives the same answer.", rich_help_panel="Sampling")],
        "max_tokens": Annotated[int | None, typer.Option(
            "--max-tokens", min=1, help="End the answer after this many tokens.", rich_help_panel="Sampling")],
        "preset": Annotated[str | None, typer.Option(
            "--preset", help="Values kept under a name, such as Precise, Balanced or Creative.", rich_help_panel="Sampling")],
        "stop": Annotated[list[str] | None, typer.Option(
            "--stop", help="End the answer before this text; may be given several times.", rich_help_panel="Sampling")],
        "logit_bias": Annotated[list[str] | None, typer.Option(
            "--logit-bias", metavar="TOKEN=V", rich_help_panel="Sampling",
            help="Make a token (number or text) likelier (above 0) or rarer; -100 forbids it. May be given several times.")],
        "grammar": Annotated[Path | None, typer.Option(
            "--grammar", metavar="FILE", help="A grammar in GBNF that the answer follows.", rich_help_panel="Sampling")],
        "json_schema": Annotated[Path | None, typer.Option(
            "--json-schema", metavar="FILE", help="A JSON Schema that the answer follows.", rich_help_panel="Sampling")],
        "logprobs": Annotated[int | None, typer.Option(
            "--logprobs", min=0, max=MAX_LOGPROBS, metavar="N", rich_help_panel="Sampling",
            help="List each token with its log-probability and the N likeliest in its place.")],
    }


def _number_option(spec: SamplingSpec) -> Any:
    kind = int if spec.is_whole else float
    names = [f"--{spec.key.replace('_', '-')}", *(["--temp"] if spec.key == "temperature" else [])]
    off = f" {spec.off:g}: off." if spec.off is not None else ""
    option = typer.Option(
        *names, min=kind(spec.minimum), max=kind(spec.maximum), help=f"{spec.help}{off}", rich_help_panel="Sampling")
    return Annotated[int | None, option] if spec.is_whole else Annotated[float | None, option]


def _choices(given: dict[str, Any]) -> SamplingChoices:
    if given["grammar"] is not None and given["json_schema"] is not None:
        raise typer.BadParameter("give a grammar or a JSON schema, not both", param_hint="--grammar")
    for key in SPEC_OF:
        if given[key] is not None and (problem := SPEC_OF[key].problem(given[key])):
            raise typer.BadParameter(problem, param_hint=f"--{key.replace('_', '-')}")
    values = SamplingValues(
        numbers={key: given[key] for key in SPEC_OF if given[key] is not None},
        stop=tuple(text for text in given["stop"] if text) if given["stop"] else None,
        logit_bias=_biases(given["logit_bias"]) if given["logit_bias"] else None,
        grammar=_text_of(given["grammar"]), json_schema=_text_of(given["json_schema"]))
    return SamplingChoices(values, given["seed"], given["max_tokens"], given["logprobs"], given["preset"])


def _biases(given: Sequence[str]) -> tuple[LogitBias, ...]:
    biases = [parse_bias(text) for text in given]
    if None in biases:
        raise typer.BadParameter("write TOKEN=V, for example 42=-5 or hello=3", param_hint="--logit-bias")
    return tuple(bias for bias in biases if bias is not None)


def _text_of(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise AppError(FILE_UNREADABLE, name=path.name, reason=error.strerror or "it cannot be opened") from error
    except UnicodeDecodeError as error:
        raise AppError(FILE_UNREADABLE, name=path.name, reason="it is not text in UTF-8") from error
    if len(data) > MAX_FILE_BYTES or not text.strip():
        raise AppError(FILE_UNREADABLE, name=path.name, reason="it is empty" if not text.strip() else "it is too large")
    return text


def sampling_of(service: SamplingService, key: str, choices: SamplingChoices, thinking: str | None) -> Sampling:
    """The sampling of one answer: the options, then what is remembered for the model, recommended, and set."""
    chat = ChatSettings(sampling=choices.settings_values(service), seed=choices.seed, thinking=thinking)
    sampling = service.effective(key, chat).sampling
    return msgspec.structs.replace(
        sampling, logprobs=choices.logprobs,
        max_tokens=choices.max_tokens if choices.max_tokens is not None else sampling.max_tokens)
