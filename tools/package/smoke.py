"""Smoke tests: `--self-check` inside an artefact, as on the computer of somebody who has just got it.

    python -m tools.package.smoke PATH [--image NAME]

PATH is the application folder, a .tar.xz, .deb, .AppImage, .dmg or setup.exe; with `--image` a .deb is installed in a container
of that name, with the packages it declares and no others. The JSON report is kept beside the artefact with the artefact's
checksum, so that `release` can tell that these very bytes have passed. Exit status 0 if the check passed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tools.dev.console import StepError
from tools.dev.environment import ROOT
from tools.package.opened import opened
from tools.package.smoke_report import REPORT_SUFFIX, SmokeReport, checksum, write_report

DIST = ROOT / "dist"
BUNDLE = "localai-app"
PROGRAM = "localai-app"
TIMEOUT_S = 300
"""A first start on Windows waits for a virus scanner that reads every library; nothing here takes a tenth of this."""
ESSENTIAL = ("protocol", "engine", "frame")
"""Parts of the report: a worker answers, llama.cpp computes what it should, the window is painted."""
DROPPED_PREFIXES = ("PYTHON", "LOCALAI_", "LD_", "DYLD_", "QT_", "VIRTUAL_ENV", "XDG_", "HF_", "GGML_", "LLAMA_")
INSTALL_AND_CHECK = (
    "set -e; export DEBIAN_FRONTEND=noninteractive; apt-get update -q >&2; "
    'apt-get install -y -q --no-install-recommends "$1" >&2; exec localai-app --self-check'
)
"""What a fresh system does with a .deb; standard output is the report alone."""


def missing() -> str:
    """Why no smoke test can run here; empty if an artefact is there."""
    return "" if artefacts(DIST) else "There is nothing in dist/ yet that could be tested."


def build() -> Path:
    """Test everything in dist/ that this system can start; StepError names what failed."""
    failed = []
    for artefact in artefacts(DIST):
        report = check(artefact)
        print(f"  {words(report)}", file=sys.stderr, flush=True)
        if not report.ok:
            failed.append(artefact.name)
    if failed:
        raise StepError(f"The self-check failed in {', '.join(failed)}; the reports lie beside them.")
    return DIST


def artefacts(folder: Path) -> list[Path]:
    """What this system can start of what lies in a folder: the application folder and the files made from it."""
    suffixes = {"linux": (".deb", ".tar.xz", ".AppImage"), "win32": ("-setup.exe",), "darwin": (".dmg",)}
    found = [folder / BUNDLE] if (folder / BUNDLE).is_dir() else []
    if folder.is_dir():
        mine = suffixes.get(sys.platform, ())
        found += sorted(path for path in folder.glob("localai-app*") if path.is_file() and path.name.endswith(mine) and mine)
    return found


def check(artefact: Path, image: str = "") -> SmokeReport:
    """Run the self-check inside an artefact and write its report beside it."""
    started = time.monotonic()
    artefact = artefact.absolute()
    with tempfile.TemporaryDirectory(prefix="localai-smoke-", ignore_cleanup_errors=True) as scratch:
        try:
            if image:
                status, output, errors = _run(container_command(artefact, image), Path(scratch))
            else:
                with opened(artefact, Path(scratch), PROGRAM) as program:
                    status, output, errors = _run([*program, "--self-check"], Path(scratch))
            document, problem = judge(status, output, errors)
        except (StepError, OSError) as failure:
            status, document, problem = None, {}, str(failure)
    report = SmokeReport(
        artefact=artefact.name, sha256=checksum(artefact), ran_in=image or platform.platform(),
        seconds=round(time.monotonic() - started, 1), exit_status=status, problem=problem, report=document)
    write_report(artefact.with_name(artefact.name + REPORT_SUFFIX), report)
    return report


def container_command(artefact: Path, image: str) -> list[str]:
    """The command that installs a .deb in a fresh container and runs the self-check there."""
    if artefact.suffix != ".deb":
        raise StepError(f"Only a .deb can be installed in a container; {artefact.name} is none.")
    folder = artefact.absolute().parent
    return ["docker", "run", "--rm", "--volume", f"{folder}:/artefacts:ro", image,
            "sh", "-c", INSTALL_AND_CHECK, "sh", f"/artefacts/{artefact.name}"]


def judge(status: int, output: str, errors: str) -> tuple[dict[str, Any], str]:
    """The report that the program printed, and in one sentence what is wrong with it; empty if it passed."""
    try:
        document = json.loads(output)
    except ValueError:
        tail = " ".join((errors.strip() or output.strip()).splitlines()[-3:])[-400:]
        return {}, f"No report came, and the exit status was {status}. {tail}".strip()
    if not isinstance(document, dict):
        return {}, "The report is no JSON object."
    problem = problem_in(document)
    if not problem and status:
        problem = f"The report says that all is well, but the exit status was {status}."
    return document, problem


def problem_in(document: Mapping[str, Any]) -> str:
    """What a report of `--self-check` lacks for a program that can be given to people; empty if nothing.

    It is stricter than the program itself, to which a missing engine is no fault in a checkout.
    """
    if document.get("ok") is not True:
        return f"The report does not say that all is well. {document.get('problem', '')}".strip()
    wrong = [f"{part}: {document.get(part, 'not checked')}" for part in ESSENTIAL if document.get(part) != "works"]
    if wrong:
        return "; ".join(wrong)
    decoded = document.get("decoded")
    if not isinstance(decoded, dict) or not decoded.get("tokens"):
        return "The engine decoded no token."
    return ""


def words(report: SmokeReport) -> str:
    """One line for a person."""
    outcome = f"passed in {report.seconds} s" if report.ok else f"FAILED: {report.problem}"
    return f"{report.artefact}: self-check {outcome}"


def _run(command: Sequence[str], home: Path) -> tuple[int, str, str]:
    try:
        done = subprocess.run(
            command, cwd=home, env=fresh_environment(os.environ, home), capture_output=True, text=True, encoding="utf-8",
            errors="replace", stdin=subprocess.DEVNULL, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as failure:
        raise StepError(f"The self-check did not end within {TIMEOUT_S} seconds.") from failure
    return done.returncode, done.stdout, done.stderr


def fresh_environment(variables: Mapping[str, str], home: Path) -> dict[str, str]:
    """The variables of a user who has never had this program, nor a Python: an empty home, nothing of the build's own."""
    env = {name: value for name, value in variables.items() if not name.upper().startswith(DROPPED_PREFIXES)}
    return env | {"HOME": str(home)}


def main(arguments: Sequence[str]) -> int:
    """The command line; 0 if the check passed, 1 if it failed."""
    parser = argparse.ArgumentParser(prog="tools.package.smoke", description="Run --self-check inside an artefact.")
    parser.add_argument("artefact", type=Path)
    parser.add_argument("--image", default="", help="container image to install a .deb in, such as debian:12")
    options = parser.parse_args(arguments)
    if not options.artefact.exists():
        print(f"{options.artefact} is not there.", file=sys.stderr)
        return 1
    report = check(options.artefact, options.image)
    print(words(report), flush=True)
    return int(not report.ok)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
