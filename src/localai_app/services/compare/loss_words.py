"""Measured losses as they are shown and copied: lines of a table, text, CSV, earlier measurements."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Sequence
from dataclasses import dataclass

from localai_app.compare.loss import Estimate, LossModel, LossResult, estimate_words, recommendation
from localai_app.units import format_count, format_file_size, format_speed

REFERENCE_WORDS = "the reference"
_CSV_HEADER = (
    "variant", "model_key", "size_bytes", "kld_mean", "kld_error", "kld_median", "kld_p90", "kld_p99", "kld_max", "same_top",
    "same_top_error", "perplexity", "perplexity_error", "tps", "words", "reference", "reference_perplexity", "text",
    "text_sha256", "tokens", "scored_tokens", "ctx", "engine_build", "processor", "measured_s")


@dataclass(frozen=True, slots=True)
class LossLine:
    """One row of the table, in words."""

    variant: str
    size: str
    kld: str
    kld_p99: str
    same_top: str
    perplexity: str
    speed: str
    words: str


@dataclass(frozen=True, slots=True)
class LossMeasurement:
    """Variants that were measured against the same reference on the same text: they can be compared."""

    results: tuple[LossResult, ...]
    """The least loss first; of each variant the newest."""
    measured_s: float
    """Of the newest."""

    @property
    def reference(self) -> LossModel:
        """What all of them were measured against."""
        return self.results[0].reference

    @property
    def title(self) -> str:
        """When, what and on which text, in one line."""
        first = self.results[0]
        variants = ", ".join(result.variant.title for result in self.results[:3])
        more = f" and {len(self.results) - 3} more" if len(self.results) > 3 else ""
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(self.measured_s))
        return (
            f"{when} · {first.reference.name}: {variants}{more} against {first.reference.title} · "
            f"{first.text_name}, {format_count(first.n_tokens)} tokens")

    @property
    def advice(self) -> str:
        """The recommendation in a sentence."""
        return recommendation(self.results)

    @property
    def set_up(self) -> str:
        """How it was measured, in one line."""
        first = self.results[0]
        parts = [
            f"{format_count(first.n_tokens)} tokens of “{first.text_name}”, {format_count(first.n_scored)} of them scored, "
            f"{format_count(first.ctx)} at a time"]
        if first.processor:
            parts.append(first.processor)
        if first.engine_build:
            parts.append(first.engine_build.partition(";")[0])
        return " · ".join(parts)


def measurements(results: Sequence[LossResult]) -> tuple[LossMeasurement, ...]:
    """Kept results as measurements, newest first."""
    found: dict[tuple[str, str, int, int], dict[str, LossResult]] = {}
    for result in sorted(results, key=lambda one: one.measured_s):
        same = (result.reference.key, result.text_sha256, result.n_scored, result.ctx)
        found.setdefault(same, {})[result.variant.key] = result
    made = [
        LossMeasurement(
            tuple(sorted(group.values(), key=lambda one: one.kld.value)), max(one.measured_s for one in group.values()))
        for group in found.values()]
    return tuple(sorted(made, key=lambda one: -one.measured_s))


def loss_lines(measurement: LossMeasurement) -> tuple[LossLine, ...]:
    """The reference, then each variant."""
    first = measurement.results[0]
    reference = LossLine(
        first.reference.title, _size(first.reference), "0", "", "100%", estimate_words(first.reference_perplexity),
        _speed(first.reference), REFERENCE_WORDS)
    return (reference, *(_line(result) for result in measurement.results))


def share_words(share: Estimate) -> str:
    """A share and its error in percent: 91.2 ± 0.4%."""
    return f"{100 * share.value:.1f} ± {100 * share.error:.1f}%"


def loss_text(measurement: LossMeasurement) -> str:
    """The whole measurement as plain text, in columns."""
    header = ("Variant", "Size", "KL divergence", "99th percentile", "Same top token", "Perplexity", "Speed", "In words")
    rows = [header, *((
        line.variant, line.size, line.kld, line.kld_p99, line.same_top, line.perplexity, line.speed, line.words)
        for line in loss_lines(measurement))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    name = measurement.reference.name
    return "\n".join([f"What the smaller files of {name} lose", measurement.set_up, "", *table, "", measurement.advice, ""])


def loss_csv(measurement: LossMeasurement) -> str:
    """Every figure at full precision, one line for each variant. Divergences are in nats, shares from 0 to 1."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_CSV_HEADER)
    for one in measurement.results:
        writer.writerow((
            one.variant.title, one.variant.key, one.variant.size_bytes, one.kld.value, one.kld.error, one.kld_median,
            one.kld_p90, one.kld_p99, one.kld_max, one.same_top.value, one.same_top.error, one.variant_perplexity.value,
            one.variant_perplexity.error, one.variant.tps, one.words, one.reference.title, one.reference_perplexity.value,
            one.text_name, one.text_sha256, one.n_tokens, one.n_scored, one.ctx, one.engine_build, one.processor,
            round(one.measured_s, 3)))
    return out.getvalue()


def _line(result: LossResult) -> LossLine:
    return LossLine(
        result.variant.title, _size(result.variant), estimate_words(result.kld), f"{result.kld_p99:.2g}",
        share_words(result.same_top), estimate_words(result.variant_perplexity), _speed(result.variant), result.words)


def _size(model: LossModel) -> str:
    return format_file_size(model.size_bytes) if model.size_bytes else ""


def _speed(model: LossModel) -> str:
    return format_speed(model.tps) if model.tps > 0 else ""
