"""Measured losses in words: lines, text, CSV, what belongs together, how long it takes, which file is the reference."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from msgspec.structs import replace

from localai_app.compare.loss import TextSource
from localai_app.compare.provenance import Provenance
from localai_app.fit.result import SpeedBasis, SpeedRange
from localai_app.services.compare.loss_choices import FileFacts, LossChoice, loss_choices, plain_name, reference_words
from localai_app.services.compare.loss_time import expected_s, expected_words
from localai_app.services.compare.loss_words import loss_csv, loss_lines, loss_text, measurements
from localai_app.services.compare.model_files import ModelFamily
from localai_app.services.compare.stored_files import StoredFile
from localai_app.services.views import InstalledModel
from tests.helpers.losses import REFERENCE, loss_of


def test_results_belong_together_by_reference_text_and_length() -> None:
    others = replace(REFERENCE, key="other")
    found = measurements([
        loss_of("Q4_0", 0.07, measured_s=1.0), loss_of("Q8_0", 0.002, measured_s=2.0), loss_of("Q4_0", 0.08, measured_s=3.0),
        loss_of("Q4_0", 0.5, measured_s=4.0, text_sha256="cd" * 32), loss_of("Q4_0", reference=others, measured_s=0.5),
        loss_of("Q4_0", measured_s=0.1, n_scored=100)])
    assert [[(one.variant.label, one.kld.value) for one in each.results] for each in found] == [
        [("Q4_0", 0.5)], [("Q8_0", 0.002), ("Q4_0", 0.08)], [("Q4_0", 0.07)], [("Q4_0", 0.07)]]
    assert [each.measured_s for each in found] == [4.0, 3.0, 0.5, 0.1]


def test_the_reference_is_the_first_line() -> None:
    (measurement,) = measurements([loss_of("Q4_0", 0.07), loss_of("Q8_0", 0.002, 290_000_000, tps=0.0)])
    first, second, third = loss_lines(measurement)
    assert (first.variant, first.words, first.kld, first.same_top) == ("F32", "the reference", "0", "100%")
    assert first.speed == "40 tok/s"
    assert (second.variant, second.size, second.speed, second.words) == ("Q8_0", "290 MB", "", "practically the original")
    assert (third.kld, third.kld_p99, third.same_top, third.perplexity) == (
        "0.070 ± 0.004", "0.35", "91.2 ± 0.4%", "21.3 ± 0.6")


def test_text_holds_the_table_the_set_up_and_the_advice() -> None:
    (measurement,) = measurements([loss_of("Q4_0", 0.07)])
    text = loss_text(measurement)
    assert text.startswith("What the smaller files of Tiny Chat lose\n8,192 tokens of “Mixed English (built in)”")
    assert measurement.advice in text
    header, reference, variant = text.splitlines()[3:6]
    assert header.index("KL divergence") == variant.index("0.070 ± 0.004") == reference.index("0  ")


def test_csv_has_every_figure_in_full() -> None:
    (measurement,) = measurements([loss_of("Q4_0", 0.0712345, text_name='a "quoted", name')])
    (line,) = csv.DictReader(io.StringIO(loss_csv(measurement)))
    assert (line["variant"], float(line["kld_mean"]), line["text"]) == ("Q4_0", 0.0712345, 'a "quoted", name')
    assert line["model_key"] == "tester/Tiny-Chat-GGUF:Q4_0"


def test_the_same_pair_tells_how_long_it_takes() -> None:
    earlier = [loss_of("Q4_0", key="b", seconds=100.0, measured_s=1.0), loss_of("Q4_0", key="b", seconds=60.0, measured_s=2.0)]
    assert expected_s(REFERENCE.key, ["b"], 4096, earlier, lambda _key: None) == pytest.approx((24.0, 39.0))
    assert expected_s(REFERENCE.key, ["b", "c"], 4096, earlier, lambda _key: None) is None


def test_else_speeds_tell_it() -> None:
    speed = SpeedRange(low=1.0, high=2.0, basis=SpeedBasis.FORMULA, prompt_low=100.0, prompt_high=200.0)
    assert expected_s("a", ["b", "c"], 1000, [], lambda _key: speed) == pytest.approx((20.0, 40.0))


def test_words_for_the_time() -> None:
    assert expected_words(None) == "How long it takes is known once it runs."
    assert expected_words((20.0, 45.0)) == "About 20 s to 45 s."
    assert expected_words((0.1, 0.2)) == "About 1 s."


def installed(key: str, name: str, label: str, size_bytes: int, *, is_complete: bool = True) -> InstalledModel:
    return InstalledModel(
        key=key, name=name, label=label, repo_id="", paths=(Path(f"/m/{key}.gguf"),), size_bytes=size_bytes, source="x",
        is_complete=is_complete)


def test_families_come_first_and_single_models_after() -> None:
    models = [
        installed("a", "Zeta.Q4_0", "Q4_0", 4), installed("b", "Zeta.Q8_0", "Q8_0", 8), installed("c", "Alpha-Q4_0", "Q4_0", 4),
        installed("d", "Broken", "", 1, is_complete=False)]
    choices = loss_choices(models, [ModelFamily("Zeta.Q8_0", ("b", "a"), "b")])
    assert [(one.name, one.keys, one.reference_key) for one in choices] == [("Zeta", ("b", "a"), "b"), ("Alpha", ("c",), "c")]
    assert choices[0] == LossChoice("Zeta", (models[1], models[0]), "b")


@pytest.mark.parametrize(("name", "label", "plain"), [
    ("SmolLM2-135M-Instruct.Q4_1", "Q4_1", "SmolLM2-135M-Instruct"), ("Q4_1", "Q4_1", "Q4_1"),
    ("Qwen3-8B", "Q4_K_M", "Qwen3-8B"),
    ("gemma-q8_0", "Q8_0", "gemma"), ("none", "", "none")])
def test_a_name_without_its_label(name: str, label: str, plain: str) -> None:
    assert plain_name(installed("k", name, label, 1)) == plain


def facts(key: str, bits: float, label: str, source: str = "") -> FileFacts:
    provenance = Provenance(
        key=key, label=label, bits_per_weight=bits, main_type=label, source_label=source,
        source_bits_per_weight=4.5 if source else 0.0)
    return FileFacts(provenance, StoredFile("", "", ()))


def test_it_is_said_why_a_file_is_the_reference() -> None:
    known = [facts("a", 16.0, "BF16"), facts("b", 8.5, "Q8_0"), facts("c", 8.5, "Q8_0", "Q4_0"), facts("d", 16.0, "F16")]
    assert reference_words("a", known, "a") == (
        "The most precise of these by what it is made of, not by its size: 16.0 bits per weight.")
    assert reference_words("b", known, "a") == "8.5 bits per weight. BF16 has kept more of the original (16.0 bits per weight)."
    assert reference_words("c", known, "a").startswith("8.5 bits per weight, made from Q4_0. BF16 has kept more")
    assert reference_words("d", known, "a") == "16.0 bits per weight, as many as BF16."
    assert reference_words("unknown", known, "a") == ""


def test_a_text_knows_its_hash() -> None:
    assert len(TextSource(name="a", text="b").sha256) == 64
