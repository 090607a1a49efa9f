"""A fresh Debian in a folder: bootstrapped with the mirror and the keys of apt's own configuration, entered by chroot.

Making one takes a minute and the network, so it is kept as an archive, and so are the packages that were installed in it.
Everything that it needs of a computer is checked by `problem()`.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from tools.dev.environment import cache_dir

USER_ID = 1000
USER = "person"
HOME = f"/home/{USER}"  # The home folder inside the fresh system.
FIXED = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
MOUNTED = {"proc": "proc", "dev/shm": "tmpfs", "tmp": "tmpfs", "run": "tmpfs"}
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
CHANGED_BY_PACKAGES = re.compile(
    # dpkg's and apt's own records and logs; caches of ldconfig, fontconfig, the desktop and man pages; what the test adds.
    r"/(var/(lib/(dpkg|apt|systemd|ucf)|cache|log|backups)|etc/(ld\.so\.cache|apt|ca-certificates(\.conf)?|ssl/certs|passwd-?|group-?|shadow-?|gshadow-?"
    r"|\.pwd\.lock|subuid-?|subgid-?)|dev|proc|sys|tmp|run)(/|$)")


@dataclass(frozen=True)
class Source:
    """Where packages come from: the archive of this system's own release that apt knows."""

    mirror: str
    suite: str


def problem() -> str:
    """Why no fresh system can be made here; empty where it can."""
    if os.geteuid() != 0:
        return "only root can enter a folder as a system of its own"
    absent = [name for name in ("debootstrap", "dpkg-deb", "unshare", "chroot", "setpriv") if shutil.which(name) is None]
    if absent:
        return f"{absent[0]} is not installed"
    if subprocess.run(["unshare", "--net", "--mount", "true"], capture_output=True, check=False).returncode:
        return "this container may not make namespaces"
    return "" if apt_source() is not None else "apt knows no archive of Debian"


def apt_source() -> Source | None:
    """The archive that apt installs this very system from; None where that is no Debian."""
    wanted = ("--format", "$(REPO_URI)\t$(CODENAME)\t$(COMPONENT)", "Created-By: Packages", "Origin: Debian")
    listed = subprocess.run(
        ["apt-get", "indextargets", *wanted], capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})
    for line in listed.stdout.splitlines():
        mirror, suite, component = line.split("\t")
        if component == "main" and suite == _codename():
            return Source(mirror.rstrip("/"), suite)
    return None


def _codename() -> str:
    facts = Path("/etc/os-release").read_text(encoding="utf-8")
    found = re.search(r"^VERSION_CODENAME=(\w+)$", facts, re.MULTILINE)
    return found[1] if found else ""


class CleanRoot:
    """One fresh system; made by `clean_root`."""

    def __init__(self, folder: Path, archives: Path) -> None:
        self.folder = folder
        self._archives = archives

    def path(self, inside: str) -> Path:
        """Where a path of the fresh system lies for everybody else."""
        return self.folder / inside.lstrip("/")

    def command(self, *words: str, user: bool = True) -> list[str]:
        """A command line that runs `words` inside, as an ordinary user unless told otherwise."""
        chroot = ["chroot", *([f"--userspec={USER_ID}:{USER_ID}"] if user else []), str(self.folder)]
        return [*chroot, *words]

    def run(
        self, *words: str, user: bool = True, environment: Mapping[str, str] | None = None, timeout_s: float = 600,
        is_checked: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside to its end; fails the test where it fails."""
        done = subprocess.run(
            self.command(*words, user=user), capture_output=True, text=True, check=False, timeout=timeout_s, cwd="/",
            stdin=subprocess.DEVNULL, env=self.environment(environment, user=user))
        assert not is_checked or done.returncode == 0, f"{' '.join(words)}: {done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done

    def environment(self, more: Mapping[str, str] | None = None, *, user: bool = True) -> dict[str, str]:
        """What a program inside finds: a home of its own and nothing of the test's."""
        return {**FIXED, "HOME": HOME if user else "/root", **(more or {})}

    def apt(self, *words: str) -> str:
        """Run apt-get inside, with the archive of apt's own configuration; what it said."""
        proxy = {name: value for name, value in os.environ.items() if name.lower() in ("http_proxy", "https_proxy", "no_proxy")}
        options = ("-q", "-y", "-o", "Dpkg::Options::=--force-unsafe-io", "-o", "Acquire::Languages=none")
        return self.run("apt-get", *options, *words, user=False, environment=proxy).stdout

    def keep_archives(self) -> None:
        """Keep the packages that were downloaded for the next fresh system."""
        for path in self.path("/var/cache/apt/archives").glob("*.deb"):
            kept = self._archives / path.name
            if not kept.exists():
                shutil.copyfile(path, kept.with_suffix(".new"))
                kept.with_suffix(".new").replace(kept)

    def is_owned(self, path: str) -> bool:
        """Whether a package that is still installed has this file or folder."""
        return self.run("dpkg", "--search", path, is_checked=False).returncode == 0

    def files(self) -> set[str]:
        """Every file, link and folder inside but those that dpkg, apt and caches keep for themselves."""
        found: set[str] = set()
        for place, folders, names in os.walk(self.folder):
            inside = "/" + str(Path(place).relative_to(self.folder)).removeprefix(".")
            inside = inside.rstrip("/")
            folders[:] = [name for name in folders if not CHANGED_BY_PACKAGES.match(f"{inside}/{name}")]
            found.update(f"{inside}/{name}" for name in [*folders, *names] if not CHANGED_BY_PACKAGES.match(f"{inside}/{name}"))
        return found


@contextmanager
def clean_root(folder: Path, depends: str) -> Iterator[CleanRoot]:
    """A fresh system in `folder`, with an ordinary user and what satisfies `depends` (as in a package), gone afterwards."""
    kept = _kept_with(depends, folder)
    subprocess.run(["tar", "--extract", "--file", str(kept), "--directory", str(folder)], check=True)
    with _entered(folder, kept.parent / "packages") as root:
        yield root


@contextmanager
def _entered(folder: Path, archives: Path) -> Iterator[CleanRoot]:
    """The system that lies in `folder`, with what it needs mounted; the folder is gone afterwards."""
    archives.mkdir(exist_ok=True)
    mounted: list[Path] = []
    try:
        for place, kind in MOUNTED.items():
            (folder / place).mkdir(exist_ok=True, parents=True)
            subprocess.run(["mount", "-t", kind, "none", str(folder / place)], check=True)
            mounted.append(folder / place)
        for name in ("tmp", "dev/shm"):
            (folder / name).chmod(0o1777)
        for name in DEVICES:
            if not (folder / "dev" / name).exists():
                facts = Path("/dev", name).stat()
                os.mknod(folder / "dev" / name, facts.st_mode, facts.st_rdev)
        shutil.copyfile("/etc/resolv.conf", folder / "etc/resolv.conf")
        for path in archives.glob("*.deb"):
            shutil.copyfile(path, folder / "var/cache/apt/archives" / path.name)
        yield CleanRoot(folder, archives)
    finally:
        for place in reversed(mounted):
            subprocess.run(["umount", "--lazy", str(place)], check=True)
        shutil.rmtree(folder, ignore_errors=True)


def _kept_with(depends: str, folder: Path) -> Path:
    """The bootstrapped system with what satisfies `depends`, as a tar archive; made in `folder` at the first time."""
    base = _kept_archive()
    archive = base.with_name(f"with-{hashlib.sha256(depends.encode()).hexdigest()[:12]}.tar")
    with FileLock(base.parent / "lock"):
        if not archive.exists():
            place = folder / "making"
            place.mkdir()
            subprocess.run(["tar", "--extract", "--file", str(base), "--directory", str(place)], check=True)
            new = archive.with_suffix(".new")
            with _entered(place, base.parent / "packages") as root:
                root.apt("satisfy", "--no-install-recommends", depends)
                root.keep_archives()
                root.apt("clean")
                left_out = [f"--exclude=./{name}/*" for name in MOUNTED]
                subprocess.run(["tar", "--create", "--file", str(new), *left_out, "--directory", str(place), "."], check=True)
            new.replace(archive)
    return archive


def _kept_archive() -> Path:
    """The bootstrapped system as a tar archive; made at the first time."""
    source = apt_source()
    assert source is not None
    key = hashlib.sha256(f"{source}{FIXED}{USER}1".encode()).hexdigest()[:12]
    folder = cache_dir() / "clean-roots" / f"{source.suite}-{key}"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock"):
        archive = folder / "root.tar"
        if not archive.exists():
            root = folder / "making"
            shutil.rmtree(root, ignore_errors=True)
            _bootstrap(source, root)
            subprocess.run(["tar", "--create", "--file", str(folder / "new.tar"), "--directory", str(root), "."], check=True)
            (folder / "new.tar").replace(archive)
            shutil.rmtree(root)
    return archive


def _bootstrap(source: Source, root: Path) -> None:
    # Its keys are those of the package debian-archive-keyring, which apt's own configuration names too.
    command = ["debootstrap", "--variant=minbase", "--force-check-gpg", source.suite, str(root), source.mirror]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    inside = FIXED | {"HOME": "/root"}
    add_user = ["useradd", "--create-home", "--uid", str(USER_ID), "--user-group", "--shell", "/bin/sh", USER]
    subprocess.run(["chroot", str(root), *add_user], check=True, env=inside)
    update = ["chroot", str(root), "apt-get", "-q", "update"]
    subprocess.run(update, check=True, env={**os.environ, **inside}, capture_output=True)
    subprocess.run(["chroot", str(root), "apt-get", "clean"], check=True, env=inside)
