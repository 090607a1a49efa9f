"""The engine of an installer on this computer: which variants compute, and what happens to those that lie or are broken."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from localai_app.engine import runtimes as engine_runtimes
from localai_app.engine.launch import worker_command
from localai_app.engine.outcome import EXIT_ENGINE_UNUSABLE
from localai_app.engine.self_test import MAX_DIFFERENCE
from localai_app.engine.variants import NEEDS, is_likely
from localai_app.hardware.cpu import this_cpu
from localai_app.hardware.report import HardwareReport, Memory
from localai_app.paths import AppPaths, app_paths
from localai_app.services import runtime_records, runtimes
from localai_app.services.events import ErrorHappened, EventBus
from localai_app.services.runtimes import RuntimeRow, RuntimeService
from localai_app.services.self_test_run import TestResult
from tests.helpers.engine_bundle import BACKENDS, copy_engine, made_engine, renew_manifest, replace_file, with_false_score
from tests.helpers.program import run_program
from tests.helpers.real_models import smollm2_path
from tools.package import engine as engine_target

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="tries the libraries for Linux"), pytest.mark.timeout(300)]
IS_X86 = platform.machine() == "x86_64"
SAFE = ("x64",) if IS_X86 else ("armv8.0_1",)
BEST = "haswell" if IS_X86 else "armv8.2_1"


class Computer:
    """This computer with the engines of a folder, and what people were told."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.paths: AppPaths = app_paths(root)
        self.report = HardwareReport(
            system="linux", cpu=this_cpu(), memory=Memory(total_bytes=2**34, available_bytes=2**33))
        self.sentences: list[str] = []
        self.bus = EventBus()
        self.bus.subscribe(self._on_event)

    def _on_event(self, event: object) -> None:
        if isinstance(event, ErrorHappened):
            self.sentences.append(event.error.message)

    def service(self) -> RuntimeService:
        return RuntimeService(self.bus, self.paths, lambda: self.report)

    def says_everything(self) -> None:
        """Its processor lists all instruction sets, whatever it can do."""
        listed = tuple(sorted({name for needs in NEEDS.values() for name in needs}))
        self.report = msgspec.structs.replace(
            self.report, cpu=msgspec.structs.replace(self.report.cpu, instruction_sets=listed))


@pytest.fixture(autouse=True)
def only_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As in an installed program, where the bindings have no libraries of their own."""
    monkeypatch.setattr(engine_runtimes, "installed_package", lambda: None)
    monkeypatch.setattr(runtime_records, "installed_engines_dir", lambda: tmp_path / "none")


@pytest.fixture(scope="module")
def engine() -> Path:
    return made_engine()


@pytest.fixture
def computer(tmp_path: Path) -> Computer:
    return Computer(tmp_path / "data")


@pytest.fixture(scope="module")
def tested(engine: Path, tmp_path_factory: pytest.TempPathFactory) -> list[RuntimeRow]:
    """Every variant, and Vulkan on a processor where Mesa offers one, tested once for all tests here."""
    computer = Computer(tmp_path_factory.mktemp("engine"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine_runtimes, "installed_package", lambda: None)
        patch.setattr(runtime_records, "installed_engines_dir", lambda: engine.parent)
        patch.setenv("GGML_VK_VISIBLE_DEVICES", "0")
        # Mesa compiles each of llama.cpp's programs for the processor first, which takes long on a busy computer.
        patch.setattr(runtimes, "FIRST_DEADLINE_S", 150.0)
        return computer.service().test_all()


def results(rows: list[RuntimeRow]) -> dict[str, TestResult]:
    return {row.runtime.key.partition("/")[2]: row.result for row in rows if row.result is not None}


def test_every_variant_computes_or_is_not_for_this_computer(tested: list[RuntimeRow]) -> None:
    of_processor = {name: result for name, result in results(tested).items() if "+" not in name}
    assert len(of_processor) >= 8
    listed = this_cpu().instruction_sets
    for name, result in of_processor.items():
        print(f"{name}: {result}")
        assert result.passed != result.is_unsupported, (name, result)
        assert result.passed == is_likely(name, listed) or result.is_unsupported, (name, result)
        if result.passed:
            assert 0 <= result.difference < MAX_DIFFERENCE / 2, (name, result)
            assert result.prompt_tps > result.generation_tps > 5
        else:
            assert result.reason.endswith("is not for this processor")
    assert of_processor[SAFE[0]].passed


def test_vulkan_computes_what_the_processor_does(tested: list[RuntimeRow]) -> None:
    """On a driver that computes with the processor (Mesa's llvmpipe), which llama.cpp uses only when it is named."""
    (result,) = [result for name, result in results(tested).items() if name.startswith("vulkan+")]
    if result.is_unsupported:
        pytest.skip(f"no Vulkan device here: {result.reason}")
    print(result)
    assert result.passed, result
    assert result.devices
    assert 0 < result.difference < MAX_DIFFERENCE / 2


def test_the_first_use_takes_two_tests(engine: Path, computer: Computer, monkeypatch: pytest.MonkeyPatch) -> None:
    """One variant for the processor and Vulkan, of 14 back ends; without a GPU nobody hears of Vulkan."""
    monkeypatch.setattr(runtime_records, "installed_engines_dir", lambda: engine.parent)
    service = computer.service()
    chosen = service.chosen()
    tested = results(service.rows())
    assert sorted(name for name in tested if "+" not in name) == [chosen.variant]
    assert [name for name in tested if "+" in name] == [f"vulkan+{chosen.variant}"]
    assert not chosen.uses_gpu
    assert is_likely(chosen.variant, this_cpu().instruction_sets)
    assert computer.sentences == []


@pytest.mark.skipif(not IS_X86, reason="there is no such variant")
def test_a_processor_that_lies_about_amx(engine: Path, computer: Computer) -> None:
    """The variant that is not shipped, as if it were, on a virtual machine whose flags are not to be trusted."""
    left_out = engine_target.left_out()
    if left_out is None:
        pytest.skip("the variant for AMX was not compiled")
    folder = copy_engine(engine, computer.paths.runtimes, "haswell", "x64")
    amx = folder / BACKENDS / "libggml-cpu-sapphirerapids.so"
    replace_file(amx, with_false_score(left_out / amx.name))
    renew_manifest(folder)
    computer.says_everything()
    service = computer.service()
    chosen = service.chosen()
    result = results(service.rows())["sapphirerapids"]
    if result.passed:
        pytest.skip("this processor has AMX, and is allowed to use it: nothing crashes here")
    assert "(SIG" in result.reason, result
    assert chosen.variant in ("haswell", "x64")
    assert results(service.rows())[chosen.variant].passed
    (sentence,) = computer.sentences
    assert "sapphirerapids” failed its self-test: it" in sentence
    answers(computer)


def test_damaged_back_ends_are_refused_and_the_program_chats_on(engine: Path, computer: Computer) -> None:
    """As a disk or a virus scanner leaves them: engine.json still tells what they were."""
    folder = copy_engine(engine, computer.paths.runtimes, BEST, *SAFE)
    best = folder / BACKENDS / f"libggml-cpu-{BEST}.so"
    replace_file(best, best.read_bytes()[:100_000])
    service = computer.service()
    assert service.chosen().variant == SAFE[0]
    (sentence,) = service.refused()
    assert f"libggml-cpu-{BEST}.so has 100000 bytes instead of" in sentence
    answers(computer)


EMPTY = "int nothing_of_llama;"
OF_ANOTHER_VERSION = """
static int registration[16] = {99};
void * ggml_backend_init(void) { return registration; }
int ggml_backend_score(void) { return 1000; }
"""


@pytest.mark.parametrize(("broken", "reason"), [
    ("cut off", "cannot be loaded"), ("garbage", "cannot be loaded"), ("empty", "is no back end for this build"),
    ("of another version", "is no back end for this build"),
])
def test_broken_back_ends_are_passed_over_with_a_sentence(
    engine: Path, computer: Computer, tmp_path: Path, broken: str, reason: str,
) -> None:
    """Whoever wrote engine.json after the damage: only a child that loads them finds out."""
    folder = copy_engine(engine, computer.paths.runtimes, BEST, *SAFE)
    best = folder / BACKENDS / f"libggml-cpu-{BEST}.so"
    data = {
        "cut off": best.read_bytes()[:200_000], "garbage": b"\x7fELF" + bytes(range(256)) * 1000,
        "empty": compiled(EMPTY, tmp_path), "of another version": compiled(OF_ANOTHER_VERSION, tmp_path)}[broken]
    replace_file(best, data)
    renew_manifest(folder)
    computer.says_everything()
    service = computer.service()
    assert service.chosen().variant == SAFE[0]
    assert reason in results(service.rows())[BEST].reason or "(SIG" in results(service.rows())[BEST].reason
    (sentence,) = computer.sentences
    assert f"{BEST}” failed its self-test" in sentence
    if broken == "of another version":
        answers(computer)


def test_without_vulkans_loader_the_processor_remains_and_nothing_alarms(engine: Path, tmp_path: Path) -> None:
    """In a mount namespace in which the loader is an empty file."""
    loader = vulkan_loader()
    if loader is None:
        pytest.skip("there is no libvulkan.so.1 to take away")
    data = tmp_path / "data"
    folder = copy_engine(engine, app_paths(data).runtimes, *SAFE)
    (folder / BACKENDS / "libggml-vulkan.so").hardlink_to(engine / BACKENDS / "libggml-vulkan.so")
    renew_manifest(folder)
    hidden = f"mount --bind /dev/null {loader} && exec {sys.executable} -m localai_app runtimes --test --json --data-dir {data}"
    done = subprocess.run(
        ["unshare", "--mount", "--map-root-user", "sh", "-c", hidden], capture_output=True, text=True, check=False)
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"no mount namespaces here: {done.stderr.strip()}")
    by_key = {row["key"]: row for row in msgspec.json.decode(done.stdout)["runtimes"]}
    vulkan = by_key[f"{folder.name}/vulkan+{SAFE[0]}"]
    assert vulkan["test"]["is_unsupported"]
    assert vulkan["test"]["reason"] == "Vulkan is not installed (libvulkan.so.1 is not there)"
    assert by_key[f"{folder.name}/{SAFE[0]}"]["test"]["passed"]


def test_a_build_without_back_ends_does_not_look_for_some_elsewhere(engine: Path, tmp_path: Path) -> None:
    """llama.cpp by itself would load what lies in the working directory and in the folder of the program."""
    planted = tmp_path / "libggml-cpu-planted.so"
    planted.write_bytes(compiled(PLANTED.replace("MARK", str(tmp_path / "loaded")), tmp_path))
    folder = copy_engine(engine, tmp_path / "engines")
    # Its stdin stays open, because its end would end the worker too.
    with subprocess.Popen(
        worker_command(extra=("--library-dir", str(folder))), cwd=tmp_path, stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    ) as worker:
        assert worker.stderr is not None
        assert f"no back end lies in {folder}" in worker.stderr.read()
    assert worker.returncode == EXIT_ENGINE_UNUSABLE
    assert not (tmp_path / "loaded").exists()


PLANTED = """
#include <stdio.h>
__attribute__((constructor)) static void run(void) { FILE * file = fopen("MARK", "w"); if (file) fclose(file); }
int ggml_backend_score(void) { return 1000000; }
void * ggml_backend_init(void) { return 0; }
"""


def answers(computer: Computer) -> None:
    """The program, started anew on the same data, answers with a real model."""
    outcome = run_program(
        "chat", smollm2_path(), "-p", "Say hello.", "--max-tokens", "4", "--ctx", "512", "--json", "--data-dir", computer.root)
    assert outcome.code == 0, outcome.stderr
    assert outcome.document["text"]


def compiled(source: str, folder: Path) -> bytes:
    """A shared library of C source."""
    target = folder / "compiled.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(target)], input=source, text=True, check=True)
    return target.read_bytes()


def vulkan_loader() -> Path | None:
    found = subprocess.run(["ldconfig", "-p"], capture_output=True, text=True, check=False).stdout
    paths = [line.rpartition(" => ")[2].strip() for line in found.splitlines() if "libvulkan.so.1 " in line]
    return Path(paths[0]).resolve() if paths else None

