"""Reads what is in Debian packages, straight from the files: nothing is unpacked that is not wanted.

The packages come from debian_packages.py, which checked them against the signed lists. A deb is an ar archive with a
compressed tar in it (deb(5)). kernel.py, rootfs.py, assemble.py and postfix.py call this.
"""

from __future__ import annotations

import io
import lzma
import posixpath
import tarfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from forge.core.errors import ForgeError

AR_MAGIC = b"!<arch>\n"
AR_HEADER = 60


@dataclass(frozen=True)
class Member:
    """A file (`data`) or a symbolic link (`target`) of a package; `path` has no / at its start."""

    path: str
    mode: int
    data: bytes = b""
    target: str = ""


def read(deb: Path, wanted: Callable[[str], bool]) -> Iterator[Member]:
    """The files and links whose path is wanted."""
    with deb.open("rb") as file:
        if file.read(len(AR_MAGIC)) != AR_MAGIC:
            raise ForgeError(f"{deb} is no Debian package", hint="remove it, then start again")
        while header := file.read(AR_HEADER):
            name, size = header[:16].decode().strip(" /"), int(header[48:58])
            if name == "data.tar.xz":
                yield from _members(file.read(size), wanted)
                return
            file.seek(size + size % 2, 1)
    raise ForgeError(f"{deb} has no data.tar.xz", hint="remove it, then start again")


def _members(data: bytes, wanted: Callable[[str], bool]) -> Iterator[Member]:
    with lzma.open(io.BytesIO(data)) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
        for entry in archive:
            path = posixpath.normpath(entry.name)
            if not wanted(path):
                continue
            if entry.isfile():
                contents = archive.extractfile(entry)
                assert contents is not None
                yield Member(path, entry.mode, contents.read())
            elif entry.issym():
                yield Member(path, 0o777, target=entry.linkname)
            elif entry.islnk():
                yield Member(path, 0o777, target=posixpath.relpath(entry.linkname, posixpath.dirname(path)))


def read_all(debs: Iterable[Path], wanted: Callable[[str], bool]) -> dict[str, Member]:
    """All that is wanted of several packages, by path; two at a time, as decompression needs no interpreter."""
    with ThreadPoolExecutor(2) as pool:
        parts = pool.map(lambda deb: list(read(deb, wanted)), debs)
        return {member.path: member for part in parts for member in part}


def resolve(members: dict[str, Member], path: str) -> Member | None:
    """What lies at that path, links followed within the packages."""
    for _ in range(20):
        member = members.get(path)
        if member is None or not member.target:
            return member
        path = posixpath.normpath(posixpath.join("/", posixpath.dirname(path), member.target)).lstrip("/")
    return None
