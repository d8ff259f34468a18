"""The Pythons that the relay's tests run on: those on this machine, and those unpacked from Debian's packages.

MINORS are those of OpenWrt's releases; none has 3.12. An interpreter counts only if it really starts and has ssl.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from forge.core import paths, proc
from forge.core.errors import ForgeError, MissingError
from forge.host import debian_packages, pip

MINORS = (10, 11, 13, 14)

# Where a minor version can be unpacked from.
DEBIAN_SUITES = {11: "bookworm", 13: "trixie", 14: "forky"}

PROBE = "import selectors, ssl, sys; print(sys.version_info[1], sys.version.split()[0], sys.executable, sep='|')"

# Of the locked packages, what only the main interpreter needs.
LEFT_OUT = {"pip", "coverage"}


@dataclass(frozen=True)
class Interpreter:
    minor: int
    version: str
    path: Path
    origin: str  # how it comes to be here, for people


def find() -> list[Interpreter]:
    """The Pythons at hand, one a minor version, in order; the one that runs this stands for its own."""
    found: dict[int, Interpreter] = {}
    for path, origin in _candidates():
        if interpreter := probe(path, origin):
            found.setdefault(interpreter.minor, interpreter)
    return [found[minor] for minor in sorted(found) if minor in MINORS]


def absent(found: Iterable[Interpreter]) -> list[int]:
    """The minor versions of MINORS that are not among `found`."""
    return [minor for minor in MINORS if minor not in {interpreter.minor for interpreter in found}]


def probe(path: Path, origin: str) -> Interpreter | None:
    """The interpreter at `path` as it describes itself; None if it does not start or lacks what the relay needs."""
    try:
        result = proc.run([path, "-I", "-c", PROBE], check=False, errors=False, timeout=30)
    except (ForgeError, OSError):
        return None
    fields = result.output.strip().split("|")
    if result.status != 0 or len(fields) != 3:
        return None
    return Interpreter(int(fields[0]), fields[1], Path(fields[2]), origin)


def _candidates() -> Iterator[tuple[Path, str]]:
    yield Path(sys.executable), "runs the tasks"
    for minor in MINORS:
        for folder in [*os.get_exec_path(), "/usr/bin", "/usr/local/bin"]:
            path = Path(folder, f"python3.{minor}")
            if os.access(path, os.X_OK):
                yield path, "in the search path"
    yield from ((path, "pyenv") for path in sorted(Path.home().glob(".pyenv/versions/3.*/bin/python3"), reverse=True))


def from_debian(minor: int) -> Interpreter:
    """Python 3.`minor` unpacked from Debian's packages and run through its own loader and C library.

    Raise MissingError where Debian has none, or it can't be fetched.
    """
    suite = DEBIAN_SUITES.get(minor)
    if suite is None:
        raise MissingError(f"no suite of Debian's has Python 3.{minor}")
    tree = debian_packages.unpack([f"python3.{minor}-minimal", f"libpython3.{minor}-stdlib"], suite=suite)
    path = tree / "usr" / "bin" / "python"
    if not path.exists():
        _write_starter(path, tree, f"python3.{minor}")
    interpreter = probe(path, f"unpacked from Debian's {suite}")
    if interpreter is None:
        raise MissingError(f"Python 3.{minor} of Debian's {suite} does not start here")
    return interpreter


def _write_starter(path: Path, tree: Path, name: str) -> None:
    """A program that looks like Python to whoever starts it: sys.executable is itself, so it starts its like."""
    loaders = sorted([*tree.glob("lib*/ld-linux*"), *tree.glob("usr/lib*/ld-linux*"), *tree.glob("lib/*/ld-linux*")])
    if not loaders:
        raise MissingError(f"there is no loader among the packages of {name}")
    libraries = ":".join(str(folder) for folder in [*tree.glob("lib/*-linux-*"), *tree.glob("usr/lib/*-linux-*")])
    words = [loaders[0], "--library-path", libraries, "--argv0", path, tree / "usr" / "bin" / name]
    with paths.replacing(path) as partial:
        partial.write_text(f'#!/bin/sh\nexec {shlex.join(str(word) for word in words)} "$@"\n')
        partial.chmod(0o755)


def test_packages(interpreter: Interpreter) -> Path:
    """A folder for PYTHONPATH with pytest and all else that the tests need, for this interpreter; made once.

    It comes from the same lock file as .venv: pip checks every hash and picks the files that fit the interpreter.
    """
    lock = _lock_for_tests()
    parent = paths.cache("site")
    key = hashlib.sha256(f"{interpreter.version}\0{interpreter.path}\0{lock}".encode()).hexdigest()[:16]
    folder = parent / f"3.{interpreter.minor}-{key}"
    with FileLock(f"{folder}.lock"):
        if folder.exists():
            return folder
        with paths.making(folder) as scratch, tempfile.NamedTemporaryFile("w", suffix=".txt") as requirements:
            requirements.write(lock)
            requirements.flush()
            options: list[proc.Arg] = ["-qq", "--no-deps", "--require-hashes", "--target", scratch]
            proc.run(
                [*pip.command(), "--python", interpreter.path, "install", *options, "-r", requirements.name],
                timeout=600,
                hint="is the package index reachable? Then start again",
            )
    return folder


def _lock_for_tests() -> str:
    """The lock of what the tests import: entries begin at a line's start, and go on indented."""
    text = "\n".join(path.read_text().rstrip() for path in (paths.REQUIREMENTS, paths.requirements("test")))
    entries = {entry.partition("\n")[0]: entry for entry in re.split(r"\n(?=[a-z0-9])", text)}
    return "\n".join(entry for line, entry in entries.items() if line.partition("==")[0] not in LEFT_OUT) + "\n"
