"""Main memory with and without control groups around this program."""

from __future__ import annotations

from pathlib import Path

import pytest

from localai_app.hardware.memory import measure_memory, probe_memory
from tests.helpers.fake_sysfs import add_cgroup_v1, add_cgroup_v2, write_files

GIB = 1024**3
NO_LIMIT_V1 = 9223372036854771712


def _measure(root: Path, total: int = 64, available: int = 40) -> tuple[int, int, int | None]:
    memory = measure_memory(root=root, system=lambda: (total * GIB, available * GIB))
    limit = memory.container_limit_bytes
    return memory.total_bytes // GIB, memory.available_bytes // GIB, None if limit is None else limit // GIB


def test_this_computer_reports_sensible_figures() -> None:
    memory = measure_memory()
    assert 0 < memory.available_bytes <= memory.total_bytes
    assert memory.total_bytes > GIB // 2
    assert probe_memory().memory is not None


def test_without_control_groups_the_systems_figures_hold(tmp_path: Path) -> None:
    assert _measure(tmp_path) == (64, 40, None)


@pytest.mark.parametrize(("limit", "current", "inactive_file", "expected"), [
    ("max", 10, 0, (64, 40, None)),
    (16 * GIB, 4, 0, (64, 12, 16)),
    (16 * GIB, 14, 6, (64, 8, 16)),
    (16 * GIB, 17, 0, (64, 0, 16)),
    (48 * GIB, 2, 0, (64, 40, 48)),
    (64 * GIB, 2, 0, (64, 40, None)),
    (100 * GIB, 2, 0, (64, 40, None)),
])
def test_a_container_of_generation_2(tmp_path: Path, limit, current: int, inactive_file: int, expected) -> None:
    add_cgroup_v2(tmp_path, "/", {"": {
        "memory.max": limit, "memory.current": current * GIB,
        "memory.stat": f"anon 1\nfile 2\ninactive_file {inactive_file * GIB}\nactive_file 9"}})
    assert _measure(tmp_path) == expected


def test_the_tightest_of_nested_groups_decides(tmp_path: Path) -> None:
    add_cgroup_v2(tmp_path, "/user.slice/user-1000.slice/app.scope", {
        "user.slice": {"memory.max": 32 * GIB, "memory.current": 30 * GIB},
        "user.slice/user-1000.slice": {"memory.max": "max", "memory.high": 24 * GIB, "memory.current": 10 * GIB},
        "user.slice/user-1000.slice/app.scope": {"memory.max": "max", "memory.current": 1 * GIB},
    })
    assert _measure(tmp_path) == (64, 2, 24)


def test_in_a_container_the_hosts_path_may_not_exist(tmp_path: Path) -> None:
    add_cgroup_v2(
        tmp_path, "/docker/abc", {"": {"memory.max": 8 * GIB, "memory.current": GIB}}, mount_root="/docker/abc")
    assert _measure(tmp_path) == (64, 7, 8)
    add_cgroup_v2(tmp_path, "/../../elsewhere", {"": {"memory.max": 8 * GIB, "memory.current": 2 * GIB}})
    assert _measure(tmp_path) == (64, 6, 8)


@pytest.mark.parametrize(("limit", "expected"), [(NO_LIMIT_V1, (64, 40, None)), (6 * GIB, (64, 3, 6))])
def test_a_container_of_generation_1(tmp_path: Path, limit: int, expected) -> None:
    add_cgroup_v1(tmp_path, "/docker/abc", {
        "": {"memory.limit_in_bytes": NO_LIMIT_V1, "memory.usage_in_bytes": 30 * GIB},
        "docker/abc": {
            "memory.limit_in_bytes": limit, "memory.usage_in_bytes": 4 * GIB,
            "memory.stat": f"inactive_file 5\ntotal_inactive_file {GIB}"},
    })
    assert _measure(tmp_path) == expected


@pytest.mark.parametrize("files", [
    {"proc/self/cgroup": "garbage", "proc/self/mountinfo": "garbage - more"},
    {"proc/self/cgroup": b"\xff\xfe:::", "proc/self/mountinfo": b"\x00" * 100},
    {"proc/self/cgroup": "0::/", "proc/self/mountinfo": "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw",
     "sys/fs/cgroup/memory.max": "many"},
])
def test_files_that_make_no_sense_are_ignored(tmp_path: Path, files: dict[str, str | bytes]) -> None:
    write_files(tmp_path, files)
    assert _measure(tmp_path) == (64, 40, None)
