"""From a real load and real answers to the next prediction, through all services."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from localai_app.engine.protocol import FinishReason, GenerationStats, HistoryCut, Sampling, TextGenerated, ToolCall
from localai_app.errors import AppError
from localai_app.fit.result import Request, SpeedBasis
from localai_app.services.app_services import AppServices
from localai_app.services.events import MeasurementsChanged, ModelLoaded, SuggestionsChanged
from tests.helpers.quick_model import quick_smollm2_path
from tests.helpers.real_models import gemma_path
from tests.helpers.services_fixture import EventRecorder, open_services, wait_until

pytestmark = pytest.mark.model

SENTENCE = "The keeper of the lighthouse counts the ships that pass, and writes their number down. "
TOKENS = 48
MIB = 1024 * 1024


class Sink:
    """Waits for one answer."""

    def __init__(self) -> None:
        self.stats: GenerationStats | None = None
        self.error: AppError | None = None

    def on_cut(self, cut: HistoryCut) -> None:
        """Not needed."""

    def on_text(self, event: TextGenerated) -> None:
        """Not needed."""

    def on_finished(self, reason: FinishReason, stats: GenerationStats, tool_calls: Sequence[ToolCall] = ()) -> None:
        """The end."""
        self.stats = stats

    def on_failed(self, error: AppError) -> None:
        """No answer."""
        self.error = error


def answer(services: AppServices, sentences: int) -> GenerationStats:
    """An answer after so many sentences."""
    sink = Sink()
    services.engine.complete(SENTENCE * sentences, Sampling(temperature=0.0, max_tokens=TOKENS), sink)
    wait_until(lambda: sink.stats is not None or sink.error is not None, 120)
    assert sink.stats is not None
    assert sink.stats.completion_tokens == TOKENS
    return sink.stats


def test_answers_at_two_depths_correct_the_next_prediction(tmp_path: Path) -> None:
    key = str(quick_smollm2_path())
    with open_services(tmp_path, echo=None) as services:
        recorder = EventRecorder(services)
        services.hardware.detect_now()
        request = Request(ctx=4096, gpu_layers=0)
        assert services.estimate.fit_installed(key, request).speed.basis is SpeedBasis.FORMULA
        services.engine.load(key, request)
        recorder.wait_for(ModelLoaded, timeout_s=120)
        recorder.wait_for(MeasurementsChanged)
        stats = [answer(services, sentences) for sentences in (2, 62)]
        recorder.wait_for(MeasurementsChanged, 3)
        load, deep, shallow = reversed(services.calibration.measurements()[::-1][:1]), *services.calibration.measurements()[:2]
        (load,) = load
        assert load.predicted_bytes is not None
        assert load.measured_bytes == pytest.approx(load.predicted_bytes, rel=0.1)
        assert load.host_overhead_bytes is not None
        assert 0 < load.host_overhead_bytes < 40 * MIB
        assert [one.measured_tps for one in (shallow, deep)] == [one.tps for one in stats]
        assert shallow.depth < 200 < 1000 < deep.depth
        assert deep.measured_prompt_tps == stats[1].prompt_tps
        fit = services.estimate.fit_installed(key, request)
        assert fit.speed.basis is SpeedBasis.MEASURED_HERE
        assert fit.speed.low is not None
        assert fit.speed.high is not None
        between = (fit.speed.low + fit.speed.high) / 2
        assert stats[1].tps < between < stats[0].tps * 1.05
        assert fit.overhead_bytes > fit.tokenizer_bytes
        other = services.estimate.fit_installed(str(gemma_path()), request)
        assert other.speed.basis is SpeedBasis.CALIBRATED
        assert "corrected by 2 answers measured on this computer" in " ".join(other.reasons)
        services.discovery.compute_now()
        bases = {row.fit.speed.basis for row in services.discovery.rows() if row.fit is not None and row.fit.load_options}
        assert bases == {SpeedBasis.CALIBRATED}
        count = len(recorder.of(SuggestionsChanged))
        services.calibration.forget()
        wait_until(lambda: len(recorder.of(SuggestionsChanged)) > count, 60)
