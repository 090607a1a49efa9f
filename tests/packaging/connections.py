"""Where a program and its children sent anything, from a log of strace.

A name that is looked up counts too: its question goes to a server of names. Where a program could send unseen by this log
(io_uring), that counts as a violation.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

TRACED = "connect,sendto,sendmsg,sendmmsg,socket,socketpair,bind,io_uring_setup,execve"

_CALL = re.compile(r"^(?P<pid>\d+)\s+(?:<\.\.\. )?(?P<name>\w+)(?:\(| resumed>)(?P<rest>.*)$")
_INET = re.compile(r'sa_family=AF_INET, sin_port=htons\((\d+)\), sin_addr=inet_addr\("([^"]+)"\)')
_INET6 = re.compile(r'sa_family=AF_INET6, sin6_port=htons\((\d+)\),.*?inet_pton\(AF_INET6, "([^"]+)"')
_UNIX = re.compile(r'sa_family=AF_UNIX, sun_path=(@?"[^"]*")')
_FAMILY = re.compile(r"sa_family=(AF_\w+)")


@dataclass(frozen=True)
class Sent:
    """One address that something was sent to, or that was connected to."""

    call: str
    family: str
    address: str
    port: int = 0

    def __str__(self) -> str:
        return f"{self.call} to {self.family} {self.address}" + (f" port {self.port}" if self.port else "")


def traced(log: Path, command: Sequence[str]) -> list[str]:
    """The command line that runs `command` and writes what it and all its children send to into `log`."""
    strace = shutil.which("strace")
    assert strace is not None
    return [strace, "-f", "--seccomp-bpf", "-qq", "-s", "256", "-e", f"trace={TRACED}", "-o", str(log), *command]


def sent_in(log: Path) -> list[Sent]:
    """Every address in a log, in its order, each once."""
    with log.open(encoding="utf-8", errors="replace") as lines:
        return list(dict.fromkeys(found for line in lines for found in sent_in_line(line)))


def sent_in_line(line: str) -> Iterable[Sent]:
    """The addresses that one line names as the target of something sent."""
    call = _CALL.match(line)
    if call is None:
        return
    name, rest = call["name"], call["rest"]
    if name == "io_uring_setup":
        yield Sent(name, "unseen", "a ring of calls that no tracer sees")
    if name not in ("connect", "sendto", "sendmsg", "sendmmsg"):
        return
    known = 0
    for pattern, family in ((_INET, "AF_INET"), (_INET6, "AF_INET6")):
        for port, address in pattern.findall(rest):
            known += 1
            yield Sent(name, family, address, int(port))
    for path in _UNIX.findall(rest):
        known += 1
        yield Sent(name, "AF_UNIX", path.replace('"', ""))
    families = _FAMILY.findall(rest)
    for family in families[known:] if len(families) > known else ():
        yield Sent(name, family, "")


def violations(sent: Iterable[Sent], allowed_ports: Iterable[int]) -> list[Sent]:
    """What went anywhere but to sockets in this computer's file system, to its kernel, and to the allowed ports of loopback."""
    ports = set(allowed_ports)
    return [one for one in sent if not _is_allowed(one, ports)]


def _is_allowed(one: Sent, ports: set[int]) -> bool:
    if one.family in ("AF_UNIX", "AF_NETLINK", "AF_UNSPEC"):
        # Netlink asks the kernel which addresses this computer has; AF_UNSPEC takes a connection back.
        return True
    return one.family in ("AF_INET", "AF_INET6") and one.address in ("127.0.0.1", "::1") and one.port in ports


def was_traced(log: Path, program: str) -> bool:
    """Whether the log has the start of this program: a log without it proves nothing."""
    with log.open(encoding="utf-8", errors="replace") as lines:
        return any("execve(" in line and program in line for line in lines)
