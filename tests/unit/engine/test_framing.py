from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localai_app.engine.framing import LineSplitter, ProtocolError, decode_command, decode_event, encode_line
from localai_app.engine.protocol import (
    MAX_LINE_BYTES,
    Chat,
    ChatMessage,
    Complete,
    Device,
    DevicesListed,
    Finished,
    FinishReason,
    GenerationStats,
    KvType,
    ListDevices,
    Load,
    Loaded,
    LoadOptions,
    LoadProgressed,
    PromptProgressed,
    Ready,
    RequestFailed,
    Sampling,
    Shutdown,
    Stop,
    TextGenerated,
)

text = st.text(st.characters(exclude_categories=["Cs"]))
counts = st.integers(0, 2**53)
seconds = st.floats(0, 1e9)
stats = st.builds(
    GenerationStats, prompt_tokens=counts, reused_tokens=counts, completion_tokens=counts, prompt_s=seconds,
    completion_s=seconds, ttft_s=seconds, context_used=counts, context_total=counts)
sampling = st.builds(
    Sampling, temperature=seconds, seed=st.none() | counts, max_tokens=st.none() | counts, stop=st.lists(text).map(tuple))
options = st.builds(
    LoadOptions, model_path=text, ctx=counts, kv_type=st.sampled_from(KvType), devices=st.lists(text).map(tuple),
    tensor_split=st.lists(seconds).map(tuple))
commands = st.one_of(
    st.builds(Load, id=counts, options=options),
    st.builds(
        Chat, id=counts, messages=st.lists(st.builds(ChatMessage, role=text, content=text)).map(tuple), sampling=sampling,
        prefill=text),
    st.builds(Complete, id=counts, prompt=text, sampling=sampling),
    st.builds(Stop, id=counts),
    st.builds(ListDevices, id=counts),
    st.builds(Shutdown),
)
events = st.one_of(
    st.builds(Ready, protocol=counts, backend=text, engine_build=text, gpu_offload=st.booleans(), pid=counts),
    st.builds(LoadProgressed, id=counts, fraction=st.floats(0, 1)),
    st.builds(
        Loaded, id=counts, description=text, ctx=counts, ctx_train=counts, n_layer=counts, gpu_layers=counts,
        threads=counts, model_bytes=counts, load_s=seconds, has_chat_template=st.booleans()),
    st.builds(PromptProgressed, id=counts, done=counts, total=counts),
    st.builds(TextGenerated, id=counts, text=text, stats=stats),
    st.builds(Finished, id=counts, reason=st.sampled_from(FinishReason), stats=stats),
    st.builds(RequestFailed, id=counts, code=text, fields=st.dictionaries(text, text), detail=text),
    st.builds(
        DevicesListed, id=counts,
        devices=st.lists(
            st.builds(Device, name=text, description=text, kind=text, total_bytes=counts, free_bytes=counts)).map(tuple)),
)


@given(commands)
def test_commands_survive_the_way(command) -> None:
    line = encode_line(command)
    assert line.count(b"\n") == 1
    assert decode_command(line) == command


@given(events)
def test_events_survive_the_way(event) -> None:
    line = encode_line(event)
    assert line.count(b"\n") == 1
    assert decode_event(line) == event


@given(st.lists(events, max_size=4), st.data())
@settings(max_examples=40)
def test_lines_are_found_however_the_stream_is_cut(messages, data) -> None:
    stream = b"".join(encode_line(message) for message in messages)
    splitter, lines = LineSplitter(), []
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        lines += splitter.feed(stream[:cut])
        stream = stream[cut:]
    assert [decode_event(line) for line in lines] == messages
    assert splitter.held_bytes == 0


@given(st.binary())
def test_garbage_is_refused_with_one_kind_of_error(data: bytes) -> None:
    for decode in (decode_event, decode_command):
        try:
            decode(data)
        except ProtocolError:
            continue
        pytest.fail(f"accepted {data!r}")


@given(st.lists(st.binary(max_size=40), max_size=20), st.integers(1, 30))
def test_no_line_over_the_limit_gets_through(chunks: list[bytes], limit_bytes: int) -> None:
    splitter = LineSplitter(limit_bytes)
    too_long = any(len(line) > limit_bytes for line in b"".join(chunks).split(b"\n"))
    try:
        for chunk in chunks:
            assert all(len(line) <= limit_bytes for line in splitter.feed(chunk))
            assert splitter.held_bytes <= limit_bytes
    except ProtocolError:
        assert too_long
    else:
        assert not too_long


def test_deep_nesting_is_no_stack_overflow() -> None:
    with pytest.raises(ProtocolError):
        decode_event(b"[" * 1_000_000)


def test_wrong_types_are_refused() -> None:
    with pytest.raises(ProtocolError):
        decode_event(b'{"type":"prompt_progressed","id":"1","done":0,"total":0}')
    with pytest.raises(ProtocolError):
        decode_command(b'{"type":"stop"}')


def test_lone_surrogates_become_question_marks() -> None:
    sent = Chat(id=1, messages=(ChatMessage(role="user", content="a\ud800b"),))
    received = decode_command(encode_line(sent))
    assert received == msgspec.structs.replace(sent, messages=(ChatMessage(role="user", content="a?b"),))


def test_message_over_the_limit_is_not_encoded() -> None:
    with pytest.raises(ProtocolError, match="longer than"):
        encode_line(Complete(id=1, prompt="x" * MAX_LINE_BYTES))
