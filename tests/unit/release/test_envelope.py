"""Signed envelopes: whose signature counts, and for what."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localai_app import errors
from localai_app.errors import AppError
from localai_app.release.envelope import PACKS_TYPE, RELEASES_TYPE, PublicKey, key_id_of, sign, verify, with_signature_of
from tests.helpers.signing import SigningKey

KEY = SigningKey()
OTHER = SigningKey()
KEYS = [KEY.public]


def refusal(data: bytes, keys: list[PublicKey] = KEYS, revoked: tuple[str, ...] = ()) -> AppError:
    with pytest.raises(AppError) as caught:
        verify(data, RELEASES_TYPE, keys, revoked)
    return caught.value


def test_a_payload_comes_back_as_it_was_signed() -> None:
    payload = '{"größe": 1}\n'.encode()
    assert verify(sign(payload, RELEASES_TYPE, KEY.private, KEY.public.key_id), RELEASES_TYPE, KEYS) == payload


def test_the_signature_is_that_of_dsse() -> None:
    # The example of the protocol's own text: https://github.com/secure-systems-lab/dsse/blob/master/protocol.md
    envelope = json.loads(sign(b"hello world", "http://example.com/HelloWorld", KEY.private, "k"))
    signed = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    KEY.private.public_key().verify(base64.b64decode(envelope["signatures"][0]["sig"]), signed)
    assert envelope["payloadType"] == "http://example.com/HelloWorld"


def test_a_document_of_another_kind_is_refused_though_its_signature_is_right() -> None:
    packs = sign(b"{}", PACKS_TYPE, KEY.private, KEY.public.key_id)
    assert refusal(packs).spec is errors.SIGNATURE_INVALID
    renamed = packs.replace(PACKS_TYPE.encode(), RELEASES_TYPE.encode())
    assert "changed" in refusal(renamed).message


def test_a_changed_payload_is_refused() -> None:
    envelope = json.loads(KEY.sign({"number": 1}))
    envelope["payload"] = base64.b64encode(b'{"number": 2}').decode()
    error = refusal(json.dumps(envelope).encode())
    assert (error.spec, "changed after it was signed" in error.message) == (errors.SIGNATURE_INVALID, True)


def test_an_unknown_key_is_refused_also_under_the_id_of_a_known_one() -> None:
    assert "its key is unknown" in refusal(OTHER.sign({})).message
    disguised = sign(b"{}", RELEASES_TYPE, OTHER.private, KEY.public.key_id)
    assert "changed" in refusal(disguised).message


def test_either_of_two_keys_is_enough_and_a_withdrawn_one_counts_for_nothing() -> None:
    both = [KEY.public, OTHER.public]
    assert verify(KEY.sign({}), RELEASES_TYPE, both) == verify(OTHER.sign({}), RELEASES_TYPE, both) == b"{}"
    withdrawn = (OTHER.public.key_id,)
    assert "withdrawn" in refusal(OTHER.sign({}), both, withdrawn).message
    twice = with_signature_of(OTHER.sign({}), KEY.private, KEY.public.key_id)
    assert verify(twice, RELEASES_TYPE, both, withdrawn) == b"{}"


def test_no_keys_believe_nothing() -> None:
    assert refusal(KEY.sign({}), []).spec is errors.SIGNATURE_INVALID


@pytest.mark.parametrize(
    "data",
    [
        b"", b"<html>", b"{}", b"[]", b'{"payload":"","payloadType":"x","signatures":[]}', "\ufeff{}".encode(), b"\xff",
        b'{"payload":"e30=","payload":"e30=","payloadType":"x","signatures":[{"keyid":"a","sig":"AA=="}]}',
        b'{"payload":"e30","payloadType":"x","signatures":[{"keyid":"a","sig":"AA=="}]}',
        b'{"payload":"e3\\n0=","payloadType":"x","signatures":[{"keyid":"a","sig":"AA=="}]}',
        b'{"payload":"\\ud800","payloadType":"x","signatures":[{"keyid":"a","sig":"AA=="}]}',
        b"[" * 100_000, b"{" * 10, b" " * 3_000_000,
    ],
)
def test_what_is_no_envelope_is_said_to_be_none(data: bytes) -> None:
    assert refusal(data).spec is errors.SIGNED_DOCUMENT_INVALID


@given(st.binary(max_size=200), st.integers(0, 10_000), st.integers(1, 255))
def test_no_flipped_bits_pass(payload: bytes, position: int, bits: int) -> None:
    whole = sign(payload, RELEASES_TYPE, KEY.private, KEY.public.key_id)
    damaged = bytearray(whole)
    damaged[position % len(whole)] ^= bits
    try:
        got = verify(bytes(damaged), RELEASES_TYPE, KEYS)
    except AppError:
        return
    # Space between the tokens of the envelope is not signed; what is signed came through.
    assert got == payload


@given(st.binary(max_size=300))
def test_any_bytes_are_answered_in_words(data: bytes) -> None:
    assert refusal(data).spec in (errors.SIGNED_DOCUMENT_INVALID, errors.SIGNATURE_INVALID)


def test_ids_of_keys_differ() -> None:
    assert key_id_of(KEY.public.public_bytes) != key_id_of(OTHER.public.public_bytes)
