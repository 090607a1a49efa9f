"""The proof that nothing goes anywhere but to the Hub can fail: it finds what goes elsewhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.packaging.connections import Sent, sent_in, sent_in_line, traced, violations, was_traced

HUB = 40123

LINES = {
    '7 connect(5, {sa_family=AF_INET, sin_port=htons(443), sin_addr=inet_addr("93.184.216.34")}, 16) = -1 ENETUNREACH':
        [Sent("connect", "AF_INET", "93.184.216.34", 443)],
    '7 connect(5, {sa_family=AF_INET6, sin6_port=htons(53), sin6_flowinfo=htonl(0), inet_pton(AF_INET6, "::1", &sin6_addr), '
    "sin6_scope_id=0}, 28 <unfinished ...>": [Sent("connect", "AF_INET6", "::1", 53)],
    '8 sendto(9, "\\1\\2", 2, MSG_NOSIGNAL, {sa_family=AF_INET, sin_port=htons(53), sin_addr=inet_addr("127.0.0.53")}, 16) = 2':
        [Sent("sendto", "AF_INET", "127.0.0.53", 53)],
    '812 sendmsg(9, {msg_name={sa_family=AF_INET, sin_port=htons(9), sin_addr=inet_addr("10.0.0.1")}, msg_namelen=16}, 0) = 2':
        [Sent("sendmsg", "AF_INET", "10.0.0.1", 9)],
    '3 connect(3, {sa_family=AF_UNIX, sun_path=@"/tmp/X5"}, 20) = 0': [Sent("connect", "AF_UNIX", "@/tmp/X5")],
    "3 connect(3, {sa_family=AF_VSOCK, svm_cid=0x2, svm_port=0x400}, 16) = 0": [Sent("connect", "AF_VSOCK", "")],
    "3 io_uring_setup(8, {flags=0}) = 5": [Sent("io_uring_setup", "unseen", "a ring of calls that no tracer sees")],
    '3 bind(3, {sa_family=AF_INET, sin_port=htons(0), sin_addr=inet_addr("127.0.0.1")}, 16) = 0': [],
    '3 sendto(3, "sa_family=AF_UNSPEC", 1, 0, NULL, 0) = 1': [Sent("sendto", "AF_UNSPEC", "")],
    "3 +++ exited with 0 +++": [],
}


@pytest.mark.parametrize("line", LINES)
def test_each_form_of_an_address_is_read(line: str) -> None:
    assert list(sent_in_line(line)) == LINES[line]


@pytest.mark.parametrize("sent", [
    Sent("connect", "AF_INET", "93.184.216.34", HUB), Sent("connect", "AF_INET", "127.0.0.1", HUB + 1),
    Sent("sendto", "AF_INET", "127.0.0.53", 53), Sent("connect", "AF_INET6", "::1", 53), Sent("connect", "AF_VSOCK", ""),
    Sent("io_uring_setup", "unseen", "")])
def test_all_but_the_hub_is_a_violation(sent: Sent) -> None:
    good = [
        Sent("connect", "AF_INET", "127.0.0.1", HUB), Sent("connect", "AF_UNIX", "/run/bus"), Sent("sendto", "AF_NETLINK", "")]
    assert violations([*good, sent], [HUB]) == [sent]
    assert not violations(good, [HUB])


PROGRAM = """
import socket, subprocess, sys, threading
def send():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unseen:
        unseen.sendto(b"I am used", ("127.0.0.9", 7))
if "child" in sys.argv:
    thread = threading.Thread(target=send)
    thread.start()
    thread.join()
else:
    subprocess.run([sys.executable, "-I", "-c", sys.argv[1], sys.argv[1], "child"], check=True)
"""


def test_what_a_thread_of_a_child_sends_is_found(tmp_path: Path) -> None:
    log = tmp_path / "log"
    subprocess.run(traced(log, [sys.executable, "-I", "-c", PROGRAM, PROGRAM]), check=True, timeout=60)
    assert violations(sent_in(log), [HUB]) == [Sent("sendto", "AF_INET", "127.0.0.9", 7)]
    assert was_traced(log, Path(sys.executable).name)
