"""What a folder of the cache held when it was made: a list of its files' hashes and sizes, kept beside the folder.

Whoever makes a folder does so within making(), and asks broken() before it is used again; cache_verify.py asks
for all of them. Files that came later are nobody's concern here.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from forge.core import paths

LIST = ".sha256sums"  # `<hash> <size> <path>` a line


@contextmanager
def making(folder: Path) -> Iterator[Path]:
    """As paths.making(), with the list beside the folder."""
    with paths.making(folder) as scratch:
        yield scratch
        lines = [f"{digest(path)} {path.stat().st_size} {path.relative_to(scratch)}\n" for path in _files(scratch)]
        with paths.replacing(_list(folder)) as partial:
            partial.write_bytes("".join(lines).encode(errors="surrogateescape"))


def broken(folder: Path, *, sizes_only: bool = False) -> list[str] | None:
    """What of a folder is missing or was changed, in words; None if nobody has written down what it held."""
    try:
        text = _list(folder).read_bytes().decode(errors="surrogateescape")
    except FileNotFoundError:
        return None
    faults = []
    for line in text.splitlines():
        sha256, size, name = line.split(" ", 2)
        if fault := difference(folder / name, "" if sizes_only else sha256, int(size)):
            faults.append(f"{folder / name}: {fault}")
    return faults


def count(folder: Path) -> int:
    """How many files the list has."""
    return len(_list(folder).read_bytes().splitlines())


def remove(folder: Path) -> None:
    """A folder with its list."""
    shutil.rmtree(folder, ignore_errors=True)
    _list(folder).unlink(missing_ok=True)


def difference(path: Path, sha256: str, size: int | None = None) -> str:
    """What is wrong with a file, in words; empty if it is the right one."""
    try:
        found = path.lstat().st_size
        if size is not None and found != size:
            return f"expected {size} bytes, found {found}"
        made = digest(path) if sha256 else ""
    except OSError as error:
        return error.strerror or str(error)
    return f"expected sha256 {sha256}, found {made}" if made != sha256 else ""


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _list(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}{LIST}")


def _files(folder: Path) -> Iterator[Path]:
    for where, folders, names in os.walk(folder):
        folders.sort()
        yield from (path for name in sorted(names) if (path := Path(where, name)).is_file() and not path.is_symlink())
