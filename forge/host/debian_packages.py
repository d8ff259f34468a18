"""Debian packages fetched and unpacked privately: nothing is installed, nothing needs root.

apt-get does the fetching under the machine's own configuration (mirrors, proxy, keys), so every file is checked against
the signed lists. Another suite or architecture than the machine's own (Debian 13 on Debian 12, mipsel on amd64) gets
private lists, derived from the machine's sources. host.py, pythons.py, foreign_cpu.py, bench.py, doctor.py,
cache_verify.py and lab/ call this; all of it is kept in the cache folder.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from forge.core import console, hashes, paths, proc, progress
from forge.core.errors import CommandError, MissingError

# Seconds: a mirror that does not answer must not hold a task up for minutes.
CONNECT_TIMEOUT = 15
UPDATE_TIMEOUT = 300.0
DOWNLOAD_TIMEOUT = 600.0

FULL = re.compile("No space left on device|enough free space|Disk quota exceeded|Read-only file system")
DPKG_STATUS = Path("/var/lib/dpkg/status")

# Lists and downloads apart from the machine's own, and none of the hooks that want to be root.
PRIVATE = """\
Dir::State "{folder}/state";
Dir::State::status "{status}";
Dir::Cache "{folder}/cache";
Acquire::Languages "none";
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
"""
OTHER_SUITE = """\
Dir::Etc::sourcelist "{folder}/sources.list";
Dir::Etc::sourceparts "/dev/null";
"""
OTHER_ARCHITECTURE = """\
#clear APT::Architectures;
APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; }};
"""


@dataclass(frozen=True)
class Archive:
    """A .deb as the signed lists name it, and as a plan keeps it: file, size and sha256 (empty if they give none)."""

    file: str
    size: int
    sha256: str

    @property
    def package(self) -> str:
        return self.file.partition("_")[0]

    def fault(self, folder: Path, *, whole: bool) -> str:
        """What is wrong with the file in that folder; `whole`: its hash is looked at, too."""
        return hashes.difference(folder / self.file, self.sha256 if whole else "", self.size)


class Apt:
    """apt-get for one suite: the machine's own lists (suite ""), or private ones. An architecture needs a suite."""

    def __init__(self, suite: str = "", architecture: str = "") -> None:
        if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
            raise MissingError("Debian's packages can't be fetched: there is no apt-get here")
        self.suite = suite
        self.architecture = architecture
        self._options = [
            "-qq",
            "-oDebug::NoLocking=1",
            "-oAPT::Sandbox::User=root",
            "-oAPT::Install-Recommends=false",
            f"-oAcquire::http::Timeout={CONNECT_TIMEOUT}",
            f"-oAcquire::https::Timeout={CONNECT_TIMEOUT}",
            "-oAcquire::Retries=2",
        ]
        self._private = bool(suite)
        if suite:
            self._configure(suite)

    def refresh(self) -> None:
        """Fetch the package lists: private ones, as those of the machine are not ours to change."""
        if not self._private:
            self._private = True
            self._configure("")
        self._apt("update", "-oAPT::Update::Error-Mode=any", timeout=UPDATE_TIMEOUT)

    def needed(self, packages: Sequence[str]) -> list[str]:
        """The names of what would be installed for `packages`, themselves among it, by what they say of each other."""
        return re.findall(r"^Inst (\S+) ", self._apt("--simulate", "install", *packages).output, re.MULTILINE)

    def archives(self, packages: Sequence[str], *, alone: bool = False) -> list[Archive]:
        """The .debs of `packages` and of all they depend on, less what the machine has (if the suite is its own).

        `alone`: without what they depend on.
        """
        names = {*packages} if alone else {*packages, *self.needed(packages)}
        if not self.suite:
            # The loader is the machine's own, and a C library works with no other than its own loader.
            names.discard("libc6")
        uris = self._apt("download", "--print-uris", "-oAcquire::ForceHash=SHA256", *sorted(names)).output
        files = re.findall(r"^'[^']+' (\S+\.deb) (\d+) (?:SHA256:([0-9a-f]{64})|\S+)$", uris, re.MULTILINE)
        found = [Archive(file, int(size), sha256) for file, size, sha256 in files]
        if lacking := names - {archive.package for archive in found}:
            raise MissingError(f"apt knows no archive of {', '.join(sorted(lacking))}")
        return found

    def download(self, archives: Sequence[Archive], folder: Path) -> None:
        """Fetch what is not in `folder` yet, or is there and another file."""
        faults = {archive: archive.fault(folder, whole=True) for archive in archives}
        lacking = [archive for archive, fault in faults.items() if fault]
        for archive in lacking:
            if (folder / archive.file).exists():
                console.note(f"{archive.file} in the cache is damaged ({faults[archive]}); fetching it again")
        if lacking:
            with tempfile.TemporaryDirectory(prefix=".download-", dir=folder) as scratch:
                names = [archive.package for archive in lacking]
                with progress.watched(
                    f"{len(names)} of Debian's packages",
                    sum(archive.size for archive in lacking),
                    lambda: sum(_size(path) for path in Path(scratch).iterdir()),
                ):
                    self._apt("download", *names, cwd=Path(scratch), timeout=DOWNLOAD_TIMEOUT)
                for file in Path(scratch).iterdir():
                    file.replace(folder / file.name)

    def _configure(self, suite: str) -> None:
        """Private state for apt: with an empty dpkg status for another suite, with the machine's for its own."""
        folder = paths.cache("apt", _name(suite, self.architecture))
        for name in ("state/lists/partial", "cache/archives/partial"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        config = PRIVATE
        status = DPKG_STATUS
        if suite:
            config += OTHER_SUITE
            (folder / "sources.list").write_text("\n".join(sources(suite)) + "\n")
            status = folder / "status"
            status.touch()
        if self.architecture:
            config += OTHER_ARCHITECTURE
        (folder / "apt.conf").write_text(config.format(folder=folder, status=status, architecture=self.architecture))
        self._options = [f"-c={folder / 'apt.conf'}", *self._options]

    def _apt(self, *argv: str, cwd: Path | None = None, timeout: float = 60.0) -> proc.Result:
        try:
            return proc.run(["apt-get", *self._options, *argv], cwd=cwd, env={"LC_ALL": "C"}, timeout=timeout)
        except CommandError as error:
            said = re.findall(r"(?m)^[EW]: (.*)", error.output)
            full = next((line for line in said if FULL.search(line)), "")
            raise CommandError(
                f"apt-get {argv[0]}: {full or next(iter(said), error.message)}",
                status=error.status,
                output=error.output,
                hint="make room there (./inv cache says where it is)"
                if full
                else "is the package mirror reachable? Try `apt-get update`",
            ) from None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # moved on meanwhile
        return 0


def sources(suite: str) -> list[str]:
    """Lines for sources.list: the mirrors that the machine takes its own release from, with `suite` in its place."""
    own = (release().get("VERSION_CODENAME"), "stable", "oldstable")
    fields = "$(REPO_URI) $(RELEASE) $(COMPONENT)"
    listed = proc.run(
        ["apt-get", "indextargets", "--no-release-info", "--format", fields, "Created-By: Packages"],
        env={"LC_ALL": "C"},
        errors=False,
    ).output
    targets = dict.fromkeys(tuple(line.split()) for line in listed.splitlines())
    uris = [uri for uri, name, component in targets if name in own and component == "main"]
    if not uris or release().get("ID") != "debian":
        raise MissingError(f"no mirror is known for Debian's {suite}", hint="this needs a Debian machine")
    keyring = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
    signed = f"[signed-by={keyring}] " if keyring.exists() else ""
    return [f"deb {signed}{uri} {suite} main" for uri in uris]


def release() -> dict[str, str]:
    pairs = (line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    return {key: value.strip('"') for key, value in pairs}


def download(
    packages: Sequence[str],
    *,
    suite: str = "",
    architecture: str = "",
    kernel: str = "",
    alone: bool = False,
    whole: bool = False,
    offline: bool = False,
) -> list[Path]:
    """The .debs of `packages`, with those they depend on and the machine lacks, in the cache folder.

    Those that are there have the right size; `whole`, for whoever is about to read them: and the right hash. `alone`:
    without what they depend on. `kernel` is a metapackage (linux-image-amd64): the package with the kernel
    that it stands for comes along, by itself. `offline`: no mirror is asked.
    """
    folder = paths.cache("debs", _name(suite, architecture))
    words = [*packages, _installed(suite)]
    # Names of plans made before there were other architectures stay as they were.
    words += [architecture, kernel, str(alone)] if architecture or kernel or alone else []
    with FileLock(folder / ".lock"):
        plan = folder / f"{_digest(words)}.list"
        known = planned(plan)
        if known and not any(archive.fault(folder, whole=whole) for archive in known):
            return [folder / archive.file for archive in known]
        if offline:
            raise MissingError(
                f"--offline: {packages[0]} and what belongs to it ({suite}, {architecture}) is not in {folder}",
                hint="run once without --offline",
            )
        apt = Apt(suite, architecture)
        try:
            archives = _fetch(apt, packages, kernel, alone, folder)
        except (CommandError, MissingError):
            # The lists are missing, or so old that the files they name are gone.
            apt.refresh()
            archives = _fetch(apt, packages, kernel, alone, folder)
        with paths.replacing(plan) as partial:
            partial.write_text("".join(f"{one.file} {one.size} {one.sha256}\n" for one in archives))
        return [folder / archive.file for archive in archives]


def planned(plan: Path) -> list[Archive]:
    """What a plan names; nothing if it is not there, or of a time when it had no sizes."""
    try:
        lines = [line.split(" ") for line in plan.read_text().splitlines()]
    except FileNotFoundError:
        return []
    if any(len(line) != 3 or not line[1].isdigit() for line in lines):
        return []
    return [Archive(file, int(size), sha256) for file, size, sha256 in lines]


def _fetch(apt: Apt, packages: Sequence[str], kernel: str, alone: bool, folder: Path) -> list[Archive]:
    archives = apt.archives(packages, alone=alone) if packages else []
    if kernel:
        images = [name for name in apt.needed([kernel]) if re.match(r"linux-image-\d+\.", name)]
        if len(images) != 1:
            raise MissingError(f"{kernel} stands for no kernel: {', '.join(images) or 'apt names none'}")
        archives += apt.archives(images, alone=True)
    apt.download(archives, folder)
    return archives


def unpack(packages: Sequence[str], *, suite: str = "", architecture: str = "", alone: bool = False) -> Path:
    """A folder with the contents of `packages` and (not if `alone`) of those they depend on; made once, and whole."""
    files = download(packages, suite=suite, architecture=architecture, alone=alone)
    parent = paths.cache("unpacked")
    folder = parent / _digest([file.name for file in files])
    with FileLock(parent / f".{folder.name}.lock"):
        if not folder.exists() or hashes.broken(folder, sizes_only=True):
            files = download(packages, suite=suite, architecture=architecture, alone=alone, whole=True)
            with hashes.making(folder) as scratch:
                for file in files:
                    proc.run(["dpkg-deb", "--extract", file, scratch])
    return folder


def _name(suite: str, architecture: str) -> str:
    """Of the folder for lists or files: they are kept apart by suite and architecture."""
    return "-".join(word for word in (suite or "own", architecture) if word)


def _installed(suite: str) -> str:
    """Changes whenever a package is installed or removed, if that matters to what has to be fetched."""
    if suite:
        return suite
    try:
        return str(DPKG_STATUS.stat().st_mtime_ns)
    except FileNotFoundError:
        return ""


def _digest(words: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(words).encode()).hexdigest()[:16]
