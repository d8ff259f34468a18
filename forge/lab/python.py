"""The guest's Python, cut down to what OpenWrt's python3-light and python3-openssl bring, and compiled as there.

The table in the repository says which modules those packages have. Debian compiles some modules of other packages into
the interpreter itself: there they are given a name that nobody imports. rootfs.py and assemble.py call this.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from filelock import FileLock

from forge.core import hashes, paths, proc
from forge.core.errors import ForgeError
from forge.host import pythons
from forge.lab import tree as trees
from forge.lab.targets import RELEASE, Target
from forge.lab.unpack import Member

TABLE = paths.TESTS / "data" / "python-packages.tsv"
PACKAGES = ("python3-base", "python3-light", "python3-openssl")

FILE_MODE = 0o644

# Compiled into Debian's interpreter, and on OpenWrt in the packages python3-codecs and python3-xml.
BUILT_IN_ELSEWHERE = ("unicodedata", "pyexpat", "_elementtree")

# In a list that was made of a Debian tree, and no part of Python.
NOT_PYTHON = {"sitecustomize", "EXTERNALLY-MANAGED", "LICENSE"}


def binary(target: Target) -> str:
    """Where the interpreter lies, here and in Debian's packages."""
    return f"usr/bin/python{target.python}"


def modules(release: str = RELEASE) -> set[str]:
    """The names that can be imported where PACKAGES of that OpenWrt are installed, less what is built in."""
    found: set[str] = set()
    for line in TABLE.read_text().splitlines():
        if line.startswith(release + "\t"):
            _, package, names = line.split("\t")
            found |= set(names.split()) if package in PACKAGES else set()
    return found - NOT_PYTHON


def subset(target: Target, members: Mapping[str, Member]) -> dict[str, Member]:
    """Of a tree with Debian's Python: the sources and extensions that OpenWrt's packages have, by path."""
    names = modules(target.python_release)
    return {
        path: member
        for path, member in members.items()
        if top_level(path, target.python) in names and not re.search(r"/tests?/", path)
    }


def top_level(path: str, python: str) -> str:
    """The name that a file of the library is imported by, or that of the package it lies in; "" for anything else."""
    library = f"usr/lib/python{python}"
    for folder in (f"{library}/lib-dynload", library):
        if path.startswith(f"{folder}/"):
            first, *others = path[len(folder) + 1 :].split("/")
            if not others and not first.endswith((".py", ".pyc", ".so")):
                return ""
            name = first.partition(".")[0] if not others else first
            return "_sysconfigdata" if name.startswith("_sysconfigdata") else name
    return ""


def interpreter(data: bytes) -> bytes:
    """The program, less the modules that OpenWrt has in other packages: their names in it begin with a dash."""
    for name in BUILT_IN_ELSEWHERE:
        word = b"\0" + name.encode() + b"\0"
        if data.count(word) != 1:
            raise ForgeError(
                f"Debian's Python names the module {name} {data.count(word)} times, not once",
                hint="forge/lab/python.py has to learn how this version does it",
            )
        data = data.replace(word, b"\0-" + name.encode()[1:] + b"\0")
    return data


def compiled(python: str, sources: Mapping[str, bytes], *, in_place: bool = True) -> Path:
    """A folder with the .pyc of these sources (by path in the root file system) for that Python, made once.

    `in_place`: as OpenWrt ships its library, in the place of the source; else in __pycache__, beside it.
    """
    digest = hashlib.sha256(f"{python} {in_place} {FILE_MODE:o}".encode())
    for path, data in sorted(sources.items()):
        digest.update(b"%s\0%d\0" % (path.encode(), len(data)) + data)
    folder = paths.cache("lab", "bytecode") / digest.hexdigest()[:16]
    with FileLock(f"{folder}.lock"):
        if hashes.broken(folder) != []:
            with hashes.making(folder) as scratch:
                _compile(python, sources, scratch, in_place)
    return folder


def add_bytecode(python: str, tree: Path, folder: str) -> None:
    """Compile the Python files below one of the tree's folders into __pycache__, which nothing in the guest writes."""
    sources = {str(path.relative_to(tree)): path.read_bytes() for path in (tree / folder).rglob("*.py")}
    trees.share(compiled(python, sources, in_place=False), tree)


def _compile(python: str, sources: Mapping[str, bytes], folder: Path, in_place: bool) -> None:
    for path, data in sources.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    options = ["-q", "-q", "--invalidation-mode", "unchecked-hash", "-s", str(folder), "-p", "/"]
    options += ["-b"] if in_place else []
    argv: list[proc.Arg] = [_host_python(python), "-I", "-m", "compileall", *options, "-i", "-"]

    def compile_some(names: Sequence[str]) -> None:
        proc.run(argv, input="".join(f"{folder / name}\n" for name in names), timeout=300)

    # compileall's own processes (-j) need a /dev/shm that everybody may write to, which a chroot often lacks.
    jobs = min(os.cpu_count() or 1, len(sources))
    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(compile_some, [list(sources)[job::jobs] for job in range(jobs)]))
    for path in sources:
        file = folder / path
        tag = f"cpython-{python.replace('.', '')}"
        made = file.with_suffix(".pyc") if in_place else file.parent / "__pycache__" / f"{file.stem}.{tag}.pyc"
        if not made.exists():
            raise ForgeError(f"Python {python} cannot compile {path}")
        made.chmod(FILE_MODE)
        file.unlink()


def _host_python(python: str) -> Path:
    """A Python on this machine that writes the bytecode the guest's reads."""
    minor = int(python.partition(".")[2])
    if sys.version_info.minor == minor:
        return Path(sys.executable)
    found = next((one for one in pythons.find() if one.minor == minor), None)
    return (found or pythons.from_debian(minor)).path
