"""The workflows of the CI service: valid, pinned, without rights they do not need, and of things that exist."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.package.targets import TARGETS

ROOT = Path(__file__).resolve().parents[3]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SCRIPTS = sorted(path for folder in (".ci", ".github", "packaging", "scripts") for path in (ROOT / folder).rglob("*")
                 if path.is_file() and path.read_bytes()[:2] == b"#!" and b"sh" in path.read_bytes().split(b"\n")[0])
PINNED = re.compile(r"^\s*-?\s*uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")
SECRET = re.compile(r"\bsecrets\.([A-Z_]+)")
VARIABLE = re.compile(r"\bvars\.([A-Z_]+)")
PLACE = re.compile(r"(?<![\w/.$-])((?:\.ci|packaging|tools|docs|scripts|requirements)/[\w./*-]*[\w*])")
MODULE = re.compile(r"-m (tools\.[\w.]+)")
PACKAGE = re.compile(r"dev\.py package(?: ([\w-]+))?")


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def steps_of(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each step with the name of its job."""
    for name, job in yaml.safe_load(text)["jobs"].items():
        for step in job["steps"]:
            yield name, step


def lint(path: Path) -> subprocess.CompletedProcess[str]:
    actionlint = shutil.which("actionlint", path=str(Path(sys.executable).parent))
    assert actionlint is not None, "actionlint is in the lock of the tests"
    command = [actionlint, "-no-color", str(path)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def problems_of(text: str) -> list[str]:
    """What is wrong with a workflow by rules of this project."""
    document = yaml.safe_load(text)
    found = [f"not pinned to a commit: {line.strip()}" for line in text.splitlines()
             if re.match(r"\s*-?\s*uses:", line) and not PINNED.match(line)]
    if document.get("permissions") != {"contents": "read"}:
        found.append("the workflow may do more than read")
    if "group" not in document.get("concurrency", {}):
        found.append("two runs may go on at once")
    for name, job in document["jobs"].items():
        if "timeout-minutes" not in job:
            found.append(f"{name} has no time limit")
        rights = job.get("permissions", {"contents": "read"})
        if rights not in ({"contents": "read"}, {"contents": "write"}):
            found.append(f"{name} may do more than needed: {rights}")
        if rights == {"contents": "write"} and job.get("environment") != "release":
            found.append(f"{name} may write, but is not in the environment `release`")
    return found + _unguarded(text)


def _unguarded(text: str) -> list[str]:
    """Secrets outside steps that are skipped without them; for each there has to be a step that says so."""
    found = []
    for name, job in yaml.safe_load(text)["jobs"].items():
        flags = {flag: SECRET.findall(str(value)) for flag, value in job.get("env", {}).items() if "!= ''" in str(value)}
        if set(SECRET.findall(str({key: value for key, value in job.items() if key not in ("steps", "env")}))):
            found.append(f"{name} has a secret outside its steps")
        if any(SECRET.search(str(value)) for flag, value in job.get("env", {}).items() if flag not in flags):
            found.append(f"{name} gives a secret to all its steps")
        conditions = [str(step.get("if", "")) for step in job["steps"]]
        for step in job["steps"]:
            secrets = set(SECRET.findall(str(step)))
            asked = {flag for flag in flags if f"env.{flag} == 'true'" in str(step.get("if", ""))}
            if secrets and not any(secrets & set(flags[flag]) for flag in asked):
                found.append(f"{name}, {step.get('name')}: not skipped without {', '.join(sorted(secrets))}")
            if secrets and not all(any(f"env.{flag} != 'true'" in other for other in conditions) for flag in asked):
                found.append(f"{name}, {step.get('name')}: nothing says that the secret is missing")
            if SECRET.search(str(step.get("run", ""))):
                found.append(f"{name}, {step.get('name')}: a secret in the text of a script")
    return found


def absent(text: str) -> list[str]:
    """Places, modules and targets that a workflow names and that are not there."""
    found = [place for place in PLACE.findall(text) if not any(ROOT.glob(place))]
    found += [module for module in MODULE.findall(text) if not (ROOT / (module.replace(".", "/") + ".py")).exists()
              and not (ROOT / module.replace(".", "/") / "__main__.py").exists()]
    names = {target.name for target in TARGETS}
    for command in (str(step.get("run", "")) for _job, step in steps_of(text)):
        found += [name for name in PACKAGE.findall(command) if name and name not in {*names, "--prepare", "verify"}]
    for job in yaml.safe_load(text)["jobs"].values():
        for one in job.get("strategy", {}).get("matrix", {}).get("include", []):
            found += [name for name in one.get("targets", "").split() if name not in names]
    return found


def test_there_are_workflows() -> None:
    assert {path.stem for path in WORKFLOWS} == {"ci", "release", "renew"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
class TestEachWorkflow:
    def test_actionlint_finds_nothing(self, path: Path) -> None:
        done = lint(path)
        assert done.returncode == 0, done.stdout + done.stderr

    def test_it_keeps_the_rules(self, path: Path) -> None:
        assert problems_of(text_of(path)) == []

    def test_what_it_names_exists(self, path: Path) -> None:
        assert absent(text_of(path)) == []

    def test_its_secrets_and_variables_are_documented(self, path: Path) -> None:
        documented = text_of(ROOT / "docs" / "releasing.md")
        for name in {*SECRET.findall(text_of(path)), *VARIABLE.findall(text_of(path))}:
            assert f"`{name}`" in documented, name


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("needs: version", "needs: versions"),
        ("runs-on: ubuntu-24.04", "runs-on: ubuntu-99.04"),
        ("${{ matrix.images }}", "${{ matrix.pictures }}"),
        ("timeout-minutes: 5", "timeout-minutes: soon"),
        ("if: matrix.sdk\n", "if: ${{ matrix.sdk \n"),
    ],
)
def test_actionlint_finds_planted_faults(tmp_path: Path, before: str, after: str) -> None:
    text = text_of(ROOT / ".github" / "workflows" / "release.yml")
    assert before in text
    broken = tmp_path / "broken.yml"
    broken.write_text(text.replace(before, after), encoding="utf-8")
    assert lint(broken).returncode == 1


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_actionlint_reads_the_scripts_in_workflows(tmp_path: Path) -> None:
    text = text_of(ROOT / ".github" / "workflows" / "release.yml")
    broken = tmp_path / "broken.yml"
    broken.write_text(text.replace('smoke "$package"', "smoke $package"), encoding="utf-8")
    assert "SC2086" in lint(broken).stdout


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (" # v5.0.1", " # main", "not pinned"),
        ("@93cb6efe18208431cddfb8368fd83d5badbf9bfd # v5.0.1", "@v5", "not pinned"),
        ("permissions:\n  contents: read", "permissions: write-all", "more than read"),
        ("    timeout-minutes: 5\n", "", "no time limit"),
        ("concurrency:", "nothing:", "two runs"),
        ("    environment: release\n    permissions", "    permissions", "not in the environment"),
        ("      contents: write\n", "      contents: write\n      packages: write\n", "more than needed"),
        ("if: env.HAS_RELEASE_KEY == 'true'\n", "if: always()\n", "not skipped without RELEASE_KEY"),
        ("if: env.HAS_RELEASE_KEY != 'true'\n", "if: always()\n", "nothing says"),
        ("run: python dev.py package release\n", "run: echo ${{ secrets.RELEASE_KEY }}\n", "in the text of a script"),
        ("      HAS_RELEASE_KEY:", "      KEY: ${{ secrets.RELEASE_KEY }}\n      HAS_RELEASE_KEY:", "to all its steps"),
    ],
)
def test_the_rules_find_planted_faults(before: str, after: str, words: str) -> None:
    text = text_of(ROOT / ".github" / "workflows" / "release.yml")
    assert before in text
    assert any(words in problem for problem in problems_of(text.replace(before, after)))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("package release\n", "package publish\n"),
        ("targets: bundle macos smoke", "targets: bundle dmg smoke"),
        ("tools.package.smoke", "tools.package.smoak"),
        ("packaging/linux/build-packages.txt", "packaging/linux/packages.txt"),
        ("packaging/ci/import-certificate.sh", "packaging/ci/import.sh"),
    ],
)
def test_names_of_nothing_are_found(before: str, after: str) -> None:
    text = text_of(ROOT / ".github" / "workflows" / "release.yml")
    assert before in text
    assert absent(text.replace(before, after)) != []


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_shellcheck_finds_nothing_in_scripts() -> None:
    assert ROOT / ".ci" / "run" in SCRIPTS
    done = subprocess.run(["shellcheck", *map(str, SCRIPTS)], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout


def test_every_release_job_tests_what_it_makes() -> None:
    """Targets are named, so that a job fails where one cannot be made, and the self-check comes last."""
    jobs = yaml.safe_load(text_of(ROOT / ".github" / "workflows" / "release.yml"))["jobs"]
    made = [one["targets"].split() for one in jobs["build"]["strategy"]["matrix"]["include"]]
    assert len(made) == 5
    assert all(targets[0] == "bundle" and targets[-1] == "smoke" and len(targets) > 2 for targets in made)


def test_packages_of_release_jobs_are_installed_by_ci_too() -> None:
    """What a release needs is proven wherever CI runs; only what CI has beyond it may differ."""
    ci = set(re.search(r"packages=\(\n(.*?)\n\)", text_of(ROOT / ".ci" / "run"), re.DOTALL)[1].split())  # type: ignore[index]
    release = text_of(ROOT / "packaging" / "linux" / "build-packages.txt").split()
    assert release == sorted(release)
    assert set(release) <= ci


def test_what_is_started_by_hand_publishes_nothing() -> None:
    """Also where a tag is chosen as the branch to run on."""
    jobs = yaml.safe_load(text_of(ROOT / ".github" / "workflows" / "release.yml"))["jobs"]
    assert "github.event_name == 'push'" in jobs["publish"]["if"]
