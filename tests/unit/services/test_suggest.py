"""Suggestions and the choice of a variant, over small catalogs and real fits."""

from __future__ import annotations

import itertools

import msgspec
import pytest

from localai_app.catalog.model import CatalogFile, CatalogModel, TaskQuality
from localai_app.catalog.tasks import OTHER_PURPOSE_POINTS, Task, points_for
from localai_app.engine.protocol import KvType
from localai_app.fit.decide import decide
from localai_app.fit.result import Basis, FitResult, Request, SpeedBasis, SpeedRange, Subject, Verdict
from localai_app.gguf.geometry import Geometry
from localai_app.hardware.report import HardwareReport
from localai_app.services.best_variant import best_file
from localai_app.services.candidates import READABLE_TPS
from localai_app.services.suggest import same_suggestions, suggest
from localai_app.services.views import DiscoveryRow, SuggestionKind
from localai_app.units import GIB
from tests.helpers import fit_subjects as models
from tests.helpers.fit_subjects import computer, nvidia, weights

GPUS = models.gpu_table()
BITS = {"Q8_0": 8.5, "Q6_K": 6.56, "Q4_K_M": 4.89, "Q3_K_M": 4.0, "Q2_K": 3.16}


def model(
    name: str, quality: float, geometry: Geometry = models.QWEN3_8B, *, labels: tuple[str, ...] = ("Q4_K_M",),
    is_base: bool = False, family: str | None = None, tasks: tuple[str, ...] = ("chat",), **for_task: float,
) -> CatalogModel:
    files = tuple(
        CatalogFile(label=label, size_bytes=round(geometry.params_total * BITS[label] / 8), source="computed")
        for label in labels)
    return CatalogModel(
        id=name, name=name, family=family or f"Family {name}", publisher="test",
        repo_id=f"test/{name}", license="MIT", gated=False, summary="",
        tasks=tasks, thinking="never", params_total=geometry.params_total, params_active=geometry.params_active,
        geometry=geometry, files=files, quality=quality, quality_is_estimated=False, quality_source="test", is_base=is_base,
        task_quality=tuple(
            TaskQuality(task=task, value=value, is_estimated=False, source="test") for task, value in for_task.items()))


def fit(verdict: Verdict = Verdict.GPU, tps: float | None = 40.0, total_bytes: int = 5 * GIB) -> FitResult:
    speed = SpeedRange(low=None, high=None, basis=SpeedBasis.UNKNOWN)
    if tps is not None:
        speed = SpeedRange(low=0.8 * tps, high=1.2 * tps, basis=SpeedBasis.FORMULA)
    return FitResult(
        verdict=verdict, basis=Basis.CATALOG, ctx=8192, kv_type=KvType.F16, weights_bytes=total_bytes, kv_bytes=0,
        compute_bytes=0, total_bytes=total_bytes, devices=(), max_ctx={}, speed=speed, reasons=("Because.",))


def row(one: CatalogModel, result: FitResult | None) -> DiscoveryRow:
    return DiscoveryRow(one, one.files[0], result)


def fits_of(one: CatalogModel, hardware: HardwareReport) -> list[FitResult]:
    assert one.geometry is not None
    return [
        decide(
            hardware, Subject(
                name=one.name, geometry=one.geometry, weights=weights(one.geometry, BITS[file.label]), basis=Basis.CATALOG,
                label=file.label),
            Request(), GPUS)
        for file in one.files
    ]


def names(rows: list[DiscoveryRow], task: Task = Task.CHAT) -> dict[str, str]:
    return {card.kind.value: card.model.id for card in suggest(rows, task=task)}


def test_three_cards_with_three_models_in_order() -> None:
    rows = [
        row(model("large", 88), fit(tps=15)), row(model("middle", 84), fit(tps=45)), row(model("small", 76), fit(tps=110)),
        row(model("tiny", 40), fit(tps=300)), row(model("worse", 60), fit(tps=20)),
    ]
    assert names(rows) == {"best_answers": "large", "balanced": "middle", "fastest": "small"}
    assert [card.kind for card in suggest(rows)] == list(SuggestionKind)


def test_the_best_answers_come_at_a_readable_speed() -> None:
    rows = [row(model("slow", 95), fit(Verdict.CPU, tps=2)), row(model("readable", 80), fit(tps=READABLE_TPS + 2))]
    assert names(rows)["best_answers"] == "readable"


def test_where_everything_is_slow_there_are_still_cards() -> None:
    cards = suggest([row(model("slow", 80), fit(Verdict.CPU, tps=3)), row(model("slower", 81), fit(Verdict.CPU, tps=1))])
    assert len(cards) == 2
    assert cards[0].model.id == "slow"
    assert "if slowly" in cards[0].reason


def test_the_fastest_is_not_useless() -> None:
    rows = [
        row(model("best", 85), fit(tps=12)), row(model("middle", 80), fit(tps=30)), row(model("quick", 75), fit(tps=60)),
        row(model("hardly quicker", 40), fit(tps=66)),
    ]
    assert names(rows)["fastest"] == "quick"


def test_speed_that_nobody_can_read_is_worth_nothing() -> None:
    rows = [row(model("one", 80), fit(tps=150)), row(model("two", 60), fit(tps=600)), row(model("three", 85), fit(tps=90))]
    assert names(rows)["fastest"] == "one"


def test_the_balanced_model_is_not_much_worse_than_a_quicker_one() -> None:
    rows = [
        row(model("best", 87), fit(tps=15)), row(model("quick", 63), fit(tps=22)), row(model("bad", 30), fit(tps=20)),
        row(model("good", 77), fit(tps=12)),
    ]
    assert names(rows) == {"best_answers": "best", "balanced": "good", "fastest": "quick"}


def test_models_that_do_not_run_are_never_suggested() -> None:
    rows = [
        row(model("too large", 99), fit(Verdict.NO, tps=None)), row(model("unknown", 99), fit(Verdict.UNKNOWN, tps=None)),
        DiscoveryRow(model("no fit", 99), None, None), row(model("runs", 50), fit()),
    ]
    assert [card.model.id for card in suggest(rows)] == ["runs"]
    assert suggest(rows[:3]) == ()
    assert suggest([]) == ()


def test_a_chat_model_and_a_base_model_make_two_cards() -> None:
    rows = [row(model("base", 60, is_base=True), fit(tps=200)), row(model("chat", 30), fit(tps=100))]
    cards = suggest(rows)
    assert [(card.kind, card.model.id) for card in cards] == [
        (SuggestionKind.BEST_ANSWERS, "chat"), (SuggestionKind.BALANCED, "base")]
    assert cards[1].reason.startswith("Continues texts and does not chat")


def test_base_models_stay_out_where_chat_models_suffice() -> None:
    rows = [row(model(f"chat {number}", 50 + number), fit(tps=50 - number)) for number in range(3)]
    assert all(not card.model.is_base for card in suggest([*rows, row(model("base", 99, is_base=True), fit())]))


def test_a_catalog_of_base_models_only() -> None:
    assert [card.model.id for card in suggest([row(model("base", 60, is_base=True), fit())])] == ["base"]


def test_reasons_are_one_sentence_with_numbers() -> None:
    rows = [row(model("a", 80), fit(tps=20)), row(model("b", 70), fit(Verdict.CPU, tps=None)), row(model("c", 60), fit())]
    for card in suggest(rows):
        assert card.reason.endswith(".")
        assert "5.0 GiB" in card.reason
    assert "16 to 24 tok/s" in suggest([row(model("a", 80), fit(tps=20))])[0].reason


@pytest.mark.parametrize(("points", "words"), [
    (74, "The quickest answers without giving up much quality:"),
    (65, "The quickest answers, somewhat less good than the best ones:"),
    (45, "The quickest answers, much less good than the best ones:"),
])
def test_the_quickest_card_owns_up_to_what_it_costs(points: float, words: str) -> None:
    cards = suggest([row(model("best", 80), fit(tps=10)), row(model("quick", points), fit(tps=60))])
    assert cards[1].reason.startswith(words)


@pytest.mark.parametrize(("points", "words"), [
    (74, "Nearly as good as the best answers, and quicker:"),
    (66, "Quicker than the best answers:"),
])
def test_the_balanced_card_promises_no_more_than_is_so(points: float, words: str) -> None:
    cards = suggest([
        row(model("best", 80), fit(tps=10)), row(model("middle", points), fit(tps=20)), row(model("quick", 62), fit(tps=60))])
    middle = next(card for card in cards if card.kind is SuggestionKind.BALANCED)
    assert (middle.model.id, middle.reason.startswith(words)) == ("middle", True), middle.reason


def test_unknown_speeds_prefer_the_gpu_and_small_models() -> None:
    rows = [
        row(model("large on the processor", 90, models.LLAMA_70B), fit(Verdict.CPU, tps=None)),
        row(model("medium on the GPU", 80), fit(Verdict.GPU, tps=None)),
    ]
    assert names(rows)["best_answers"] == "medium on the GPU"


def test_cards_stay_while_they_are_nearly_as_good() -> None:
    before = [row(model("a", 80), fit(tps=30)), row(model("b", 79), fit(tps=30)), row(model("c", 70), fit(tps=90))]
    cards = suggest(before)
    moved = [row(model("a", 80), fit(tps=27)), row(model("b", 81), fit(tps=31)), row(model("c", 70), fit(tps=88))]
    assert suggest(moved)[0].model.id == "b"
    assert suggest(moved, cards)[0].model.id == "a"
    gone = [row(model("a", 80), fit(Verdict.NO, tps=None)), *moved[1:]]
    assert suggest(gone, cards)[0].model.id == "b"


def test_the_order_of_the_catalog_does_not_matter() -> None:
    rows = [row(model(f"m{number}", 60 + 3 * number), fit(tps=120 - 12 * number)) for number in range(6)]
    expected = names(rows)
    assert all(names(list(order)) == expected for order in itertools.islice(itertools.permutations(rows), 0, 720, 97))


def test_small_moves_of_free_memory_keep_the_suggestions() -> None:
    catalog = [
        model("8B", 75, models.QWEN3_8B, labels=tuple(BITS)), model("32B", 85, models.QWEN3_32B, labels=tuple(BITS)),
        model("12B", 70, models.GEMMA3_12B, labels=tuple(BITS)), model("0.6B", 40, models.QWEN3_06B, labels=tuple(BITS)),
    ]

    def cards(free_gib: float, previous: tuple[object, ...] = ()) -> tuple[object, ...]:
        rows = []
        for one in catalog:
            results = fits_of(one, computer(64, 56, (nvidia("RTX 4070", 12, free_gib=free_gib),)))
            chosen = best_file(one, results)
            assert chosen is not None
            rows.append(DiscoveryRow(one, chosen, results[one.files.index(chosen)]))
        return suggest(rows, previous)  # type: ignore[arg-type]

    first = cards(11.0)
    for free_gib in (10.9, 11.1, 10.8, 11.0):
        again = cards(free_gib, first)
        assert [card.model.id for card in again] == [card.model.id for card in first]  # type: ignore[attr-defined]


def test_every_task_has_its_own_best_model() -> None:
    rows = [
        row(model("talker", 85, tasks=("chat",), code=60, reasoning=60), fit(tps=30)),
        row(model("coder", 75, tasks=("chat", "code"), code=90, reasoning=70), fit(tps=30)),
        row(model("thinker", 78, tasks=("chat", "reasoning"), code=70, reasoning=92), fit(tps=30)),
        row(model("seer", 70, tasks=("chat", "vision"), vision=80), fit(tps=30)),
    ]
    best = {task: names(rows, task)["best_answers"] for task in Task}
    assert (best[Task.CHAT], best[Task.CODE], best[Task.REASONING]) == ("talker", "coder", "thinker")
    assert [card.model.id for card in suggest(rows, task=Task.VISION)] == ["seer"]
    assert "program code" in suggest(rows, task=Task.CODE)[0].reason


def test_a_model_that_is_not_meant_for_a_task_and_has_no_score_for_it_counts_less() -> None:
    for_chat = model("chat", 80)
    assert points_for(for_chat, Task.CODE) == 80 - OTHER_PURPOSE_POINTS
    assert points_for(model("coder", 80, tasks=("code",)), Task.CODE) == 80
    assert points_for(model("measured", 80, code=75), Task.CODE) == 75
    assert points_for(model("coder", 80, tasks=("code",)), Task.CHAT) == 80 - OTHER_PURPOSE_POINTS


def test_a_short_context_counts_less() -> None:
    whole, half = fit(tps=30), msgspec.structs.replace(fit(tps=30), ctx=4096)
    rows = [row(model("short", 82), half), row(model("long", 80), whole)]
    assert names(rows)["best_answers"] == "long"


def test_two_generations_of_one_size_make_one_card() -> None:
    rows = [
        row(model("Qwen3.6-27B", 88, family="Qwen3.6"), fit(tps=15)),
        row(model("Qwen3.5-27B", 87, family="Qwen3.5"), fit(tps=30)),
        row(model("other", 84, models.GEMMA3_12B, family="Gemma 3"), fit(tps=45)),
        row(model("small", 76, models.QWEN3_06B, family="Qwen3.5"), fit(tps=110)),
    ]
    assert names(rows) == {"best_answers": "Qwen3.6-27B", "balanced": "other", "fastest": "small"}
    alone = suggest([row(model("a 2", 80, family="A 2"), fit(tps=20)), row(model("a 3", 82, family="A 3"), fit(tps=40))])
    assert len(alone) == 2


def test_one_of_a_family_unless_others_are_much_worse() -> None:
    best = row(model("best", 88, family="A"), fit(tps=15))
    sister = row(model("sister", 84, models.GEMMA3_12B, family="A"), fit(tps=45))
    quick = row(model("quick", 74, models.QWEN3_06B, family="C"), fit(tps=120))
    assert names([best, sister, quick, row(model("near", 80, family="B"), fit(tps=45))])["balanced"] == "near"
    assert names([best, sister, quick, row(model("far", 72, family="B"), fit(tps=45))])["balanced"] == "sister"


def test_a_balanced_card_is_quicker_or_much_smaller() -> None:
    """On a processor a mixture of experts is the best and among the quickest: as fast and only worse is no advice."""
    best = row(model("best", 87), fit(Verdict.CPU, tps=22, total_bytes=28 * GIB))
    same = row(model("as fast and as large", 83), fit(Verdict.CPU, tps=22, total_bytes=26 * GIB))
    small = row(model("much smaller", 80), fit(Verdict.CPU, tps=20, total_bytes=13 * GIB))
    tiny = row(model("tiny", 72), fit(Verdict.CPU, tps=60, total_bytes=GIB))
    cards = {card.kind: card for card in suggest([best, same, small, tiny])}
    assert cards[SuggestionKind.BALANCED].model.id == "much smaller"
    assert cards[SuggestionKind.BALANCED].reason.startswith("Takes 15.0 GiB less memory than the best answers")
    quicker = row(model("quicker", 79), fit(Verdict.CPU, tps=30, total_bytes=27 * GIB))
    assert names([best, same, small, tiny, quicker])["balanced"] == "quicker"


def test_the_fastest_card_is_the_fastest_of_the_three() -> None:
    """Where nothing lies between the ends, the third card may be quicker than the one that was chosen for speed."""
    rows = [
        row(model("best", 88), fit(tps=70)), row(model("nearly as good", 87), fit(tps=130)),
        row(model("quicker and worse", 79), fit(tps=150)),
    ]
    assert names(rows) == {"best_answers": "best", "balanced": "nearly as good", "fastest": "quicker and worse"}
    cards = suggest(rows)
    assert [card.model.id for card in suggest(rows, cards)] == [card.model.id for card in cards]


def test_the_same_cards_with_the_fits_of_now() -> None:
    one, other = model("one", 80, labels=("Q8_0", "Q4_K_M")), model("other", 70)
    before = suggest([DiscoveryRow(one, one.files[1], fit(), (fit(), fit())), row(other, fit(tps=90))])
    slower = fit(Verdict.GPU_PARTIAL, tps=12)
    rows = [DiscoveryRow(one, one.files[0], fit(), (fit(), slower)), DiscoveryRow(other, other.files[0], fit(), (fit(),))]
    cards = same_suggestions(rows, before)
    assert cards is not None
    assert [(card.model.id, card.file.label) for card in cards] == [("one", "Q4_K_M"), ("other", "Q4_K_M")]
    assert cards[0].fit == slower
    assert "partly" in cards[0].reason
    gone = [DiscoveryRow(one, one.files[0], fit(), (fit(), fit(Verdict.NO, tps=None))), rows[1]]
    assert same_suggestions(gone, before) is None
    assert same_suggestions(rows, ()) is None


def chosen_label(one: CatalogModel, hardware: HardwareReport) -> str:
    chosen = best_file(one, fits_of(one, hardware))
    assert chosen is not None
    return chosen.label


@pytest.mark.parametrize(("free_gib", "label"), [(23.5, "Q8_0"), (9.5, "Q6_K"), (7.6, "Q4_K_M"), (7.0, "Q4_K_M")])
def test_the_best_variant_that_stays_on_the_gpu(free_gib: float, label: str) -> None:
    hardware = computer(64, 56, (nvidia("RTX 4090", 24, free_gib=free_gib),))
    assert chosen_label(model("8B", 75, labels=tuple(BITS)), hardware) == label


def test_a_slow_processor_gets_the_usual_variant_not_the_largest() -> None:
    assert chosen_label(model("8B", 75, labels=tuple(BITS)), computer(32)) == "Q4_K_M"


def test_two_bits_are_the_last_resort() -> None:
    hardware = computer(16, 8.2)
    assert chosen_label(model("8B", 75, labels=("Q2_K", "Q4_K_M")), hardware) == "Q4_K_M"
    assert chosen_label(model("8B", 75, labels=("Q2_K", "Q4_K_M")), computer(16, 6.2)) == "Q2_K"


def test_where_nothing_runs_the_smallest_variant_says_what_is_missing() -> None:
    assert chosen_label(model("70B", 90, models.LLAMA_70B, labels=tuple(BITS)), computer(16, 8)) == "Q2_K"


def test_without_any_fit_there_is_no_variant() -> None:
    one = model("8B", 75, labels=("Q4_K_M", "Q8_0"))
    assert best_file(one, [None, None]) is None
    unknown = msgspec.structs.replace(fit(), verdict=Verdict.UNKNOWN)
    assert best_file(one, [unknown, None]) is None
    assert best_file(one, [None, fit()]) == one.files[1]
