"""Chat templates in model files: missing, broken, hostile; what takes their place, and what they let one choose."""

from __future__ import annotations

import time
from pathlib import Path

import psutil
import pytest

from localai_app.engine.protocol import Chat, ChatMessage, Sampling
from localai_app.engine.template_families import FAMILIES
from tests.helpers.gguf_files import TinyModel, Typed, tiny_metadata, write_tiny_gguf
from tests.helpers.real_models import gemma_path, smollm2_path

FEW = Sampling(temperature=0.0, max_tokens=3)
ENDLESS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"


@pytest.fixture
def tiny(start_worker, tmp_path: Path):
    """A worker, and what it said of a tiny random model with this template."""
    def load(template: str | None, *, chat_template: str = "", file_name: str = "tiny.gguf", **metadata: Typed):
        path = write_tiny_gguf(tmp_path / file_name, metadata=metadata, chat_template=template)
        worker = start_worker("llama")
        return worker, worker.load(model_path=str(path), ctx=512, chat_template=chat_template)

    return load


def with_tokens(*texts: str) -> dict[str, Typed]:
    """The tiny vocabulary with some of its letters replaced by special tokens."""
    metadata = tiny_metadata(TinyModel())
    tokens = list(metadata["tokenizer.ggml.tokens"].value)  # type: ignore[call-overload]
    types = list(metadata["tokenizer.ggml.token_type"].value)  # type: ignore[call-overload]
    for place, text in enumerate(texts, start=300):
        tokens[place], types[place] = text, 3
    return {
        "tokenizer.ggml.tokens": Typed("arr", tokens, "str"), "tokenizer.ggml.token_type": Typed("arr", types, "i32")}


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "unsafe"),
        (ENDLESS, "within 2 seconds"),
        ("{{ 'A' * 10**10 }}", "memory"),
        ("{% for x in %}", "xpected"),
        ("{# an endless comment", "omment"),
        ("{{" + "(" * 5000 + "1" + ")" * 5000 + "}}", "deep"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "deep"),
        ("x" * 5_000_000, "longer than"),
    ],
)
def test_hostile_template_in_a_model_file(tiny, template: str, words: str) -> None:
    """It is given up within its limits, plain lines take its place, and both are said."""
    started_s = time.perf_counter()
    worker, loaded = tiny(template)
    assert time.perf_counter() - started_s < 20.0
    assert loaded.has_chat_template
    assert loaded.format.template == "plain"
    assert words in loaded.format.problem
    assert worker.chat("Hi", sampling=FEW)[1].stats.completion_tokens >= 0
    psutil.Process(worker.client.pid).cpu_percent()
    time.sleep(0.3)
    assert psutil.Process(worker.client.pid).cpu_percent() < 50, "nothing goes on computing after the refusal"


def test_template_that_fails_in_one_conversation_only(tiny) -> None:
    """The probe knows one turn; the refusal of a longer conversation is told when it comes."""
    worker, loaded = tiny("{% if messages | length > 1 %}{{ 1 / 0 }}{% endif %}ok")
    assert loaded.format.template == "own"
    assert worker.refusal(worker.send_chat("a", "b", "c")).code == "template_failed"
    assert worker.chat("a", sampling=FEW)[1].stats.prompt_tokens > 0


def test_without_a_template_the_name_decides(tiny) -> None:
    _worker, base = tiny("  \n")
    assert (base.has_chat_template, base.format.template) == (False, "none")
    _worker, chat = tiny(None, file_name="tiny-2b-it.gguf")
    assert (chat.has_chat_template, chat.format.template) == (True, "plain")
    assert chat.format.problem == "the model file has no chat template"


@pytest.mark.parametrize("family", ["chatml", "llama-3", "gemma"])
def test_family_is_known_by_its_tokens(tiny, family: str) -> None:
    markers = FAMILIES[family].markers
    _worker, loaded = tiny("{% broken", **with_tokens(*markers))
    assert loaded.format.template == family


def test_template_of_the_users_choice(start_worker) -> None:
    """By family, as a text, as a text that does not work, and for a base model."""
    worker = start_worker("llama")
    path = str(smollm2_path())
    own = worker.load(model_path=path, ctx=512)
    assert (own.format.template, own.format.problem, own.format.thinking) == ("own", "", ())
    plain_tokens = worker.chat("Hi", sampling=FEW)[1].stats.prompt_tokens
    assert worker.load(model_path=path, ctx=512, chat_template="chatml").format.template == "chatml"
    chatml_tokens = worker.chat("Hi", sampling=FEW)[1].stats.prompt_tokens
    assert 0 < chatml_tokens < plain_tokens, "its own template adds a system message"
    custom = worker.load(model_path=path, ctx=512, chat_template="{{ messages[0].content }}{{ 'x' if enable_thinking }}")
    assert (custom.format.template, custom.format.thinking, custom.format.default_thinking) == ("custom", ("off", "on"), "off")
    broken = worker.load(model_path=path, ctx=512, chat_template="{% for")
    assert broken.format.template == "own"
    assert broken.format.problem.startswith("your chat template cannot be used: ")


def test_base_model_can_be_given_a_template(start_worker) -> None:
    worker = start_worker("llama")
    assert worker.load(model_path=str(gemma_path()), ctx=512).format.template == "none"
    assert worker.load(model_path=str(gemma_path()), ctx=512, chat_template="gemma").has_chat_template
    assert worker.chat("Hi", sampling=FEW)[1].stats.prompt_tokens > 5


def test_thinking_reaches_the_template(tiny) -> None:
    """Each choice makes a prompt of its own length; one that is not offered becomes the nearest."""
    worker, loaded = tiny("{{ messages[0].content }}{{ reasoning_effort | default('medium') }}")
    assert (loaded.format.thinking, loaded.format.default_thinking) == (("low", "medium", "high"), "medium")

    def prompt_tokens(thinking: str | None) -> int:
        request_id = worker.new_id()
        messages = (ChatMessage(role="user", content="Hi"),)
        worker.client.send(Chat(id=request_id, messages=messages, sampling=FEW, thinking=thinking))
        return worker.finish(request_id)[1].stats.prompt_tokens

    letters = {choice: prompt_tokens(choice) for choice in ("low", "medium", "high")}
    assert letters["medium"] - letters["low"] == 3
    assert letters["high"] - letters["low"] == 1
    assert prompt_tokens(None) == prompt_tokens("on") == letters["medium"]
    assert prompt_tokens("off") == letters["low"]
