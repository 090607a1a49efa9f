from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localai_app.settings.addresses import address_to_ask, is_this_computer, parse_address, parse_addresses


@pytest.mark.parametrize(("text", "parsed"), [
    ("127.0.0.1:50052", ("127.0.0.1", 50052)), (" Tower.local:1 ", ("tower.local", 1)), ("pc:65535", ("pc", 65535)),
    ("pc:0", None), ("pc:65536", None), ("pc:", None), (":5", None), ("pc", None), ("[::1]:5", None), ("::1:5", None),
    ("user@pc:5", None), ("http://pc:5", None), ("-pc:5", None), ("a..b:5", None), ("pc:5\n", ("pc", 5)), ("p c:5", None),
    ("pc:١", None), ("x" * 300 + ":5", None),
])
def test_addresses(text: str, parsed: tuple[str, int] | None) -> None:
    assert parse_address(text) == parsed


def test_lists() -> None:
    assert parse_addresses("") == ()
    assert parse_addresses("a:1, b:2;A:1\tc:3") == ("a:1", "b:2", "c:3")
    assert parse_addresses("a:1, nonsense") is None
    assert parse_addresses(" ".join(f"a:{port}" for port in range(1, 17))) is not None
    assert parse_addresses(" ".join(f"a:{port}" for port in range(1, 18))) is None


def test_this_computer() -> None:
    assert all(is_this_computer(address) for address in ("127.0.0.1:1", "localhost:1", "127.8.9.1:1"))
    assert not any(is_this_computer(address) for address in ("0.0.0.0:1", "10.0.0.1:1", "127.0.0.1.example.com:1", "x", "pc:1"))
    assert address_to_ask("0.0.0.0:7") == "127.0.0.1:7"
    assert address_to_ask("10.0.0.1:7") == "10.0.0.1:7"


@given(st.text(max_size=40))
def test_anything_is_an_address_or_none(text: str) -> None:
    parsed = parse_address(text)
    assert parsed is None or parse_address(f"{parsed[0]}:{parsed[1]}") == parsed
    parse_addresses(text)
