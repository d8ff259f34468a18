"""Lists a tar that nobody vouches for: headers and, on demand, small contents; nothing is ever written.

The standard library reads headers alone: it walks to wherever one claims the next one is, for years if need be.
Sizes here count for nothing before their bytes are there, and never more than LIMIT of them are read. For ipk_read.py.
"""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO

LIMIT = 1 << 30  # bytes, unpacked: many times the flash of a router
MEMBERS = 100_000
LONG = 1 << 16  # of a name, or of a set of extended headers
BLOCK = 512

KINDS = {
    b"0": "file",
    b"\0": "file",
    b"7": "file",
    b"1": "hard link",
    b"2": "link",
    b"3": "character device",
    b"4": "block device",
    b"5": "directory",
    b"6": "pipe",
}


class TarFault(Exception):
    """The archive does not go on as a tar should."""


class Source:
    """A gzip stream to read from, to an end: TarFault past LIMIT bytes, or where it is damaged."""

    def __init__(self, file: BinaryIO, limit: int = LIMIT) -> None:
        self._stream = gzip.GzipFile(fileobj=file, mode="rb")
        self._left = limit

    def read(self, count: int) -> bytes:
        """Up to `count` bytes, fewer at the end only."""
        parts = []
        while count > 0:
            try:
                part = self._stream.read(min(count, 1 << 16))
            except (OSError, EOFError, zlib.error) as error:
                raise TarFault(f"it is no sound gzip: {error}") from error
            if not part:
                break
            self._left -= len(part)
            if self._left < 0:
                raise TarFault("it unpacks to more than any router can hold")
            parts.append(part)
            count -= len(part)
        return b"".join(parts)


class Member(tarfile.TarInfo):
    """A header, and the way to its contents as long as the next one has not been asked for."""

    source: Source
    left = 0  # bytes of contents still to come
    padding = 0  # bytes after them

    @property
    def kind(self) -> str:
        return KINDS.get(self.type, f"type {self.type!r}")

    def read(self, count: int = -1) -> bytes:
        """The contents' next `count` bytes (all of them if it is negative), as far as they are there."""
        data = self.source.read(self.left if count < 0 else min(self.left, count))
        self.left -= len(data)
        return data

    def skip(self) -> None:
        left = self.left + self.padding
        while left > 0:
            passed = len(self.source.read(min(left, 1 << 16)))
            if not passed:
                raise TarFault(f"{self.name}: its {self.size} bytes are not there")
            left -= passed


def members(source: Source) -> Iterator[Member]:
    """The members, one after the other. TarFault where the archive breaks off or is none."""
    long: dict[str, str] = {}
    for _ in range(MEMBERS):
        header = source.read(BLOCK)
        if header == bytes(BLOCK):
            return
        if len(header) < BLOCK:
            raise TarFault("it ends in the middle" if header else "it ends without an end mark")
        member = _member(header, source)
        if member.type in b"LKxg":
            text = member.read(min(member.size, LONG))
            if len(text) < member.size:
                raise TarFault("it has a name without end")
            if member.type in b"LK":
                long["path" if member.type == b"L" else "linkpath"] = _text(text)
            elif member.type == b"x":
                long.update(_extended(text))
        else:
            member.name = long.get("path", member.name)
            member.linkname = long.get("linkpath", member.linkname)
            long = {}
            yield member
        member.skip()
    raise TarFault(f"it has more than {MEMBERS} members")


def _member(header: bytes, source: Source) -> Member:
    try:
        member = Member.frombuf(header, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        raise TarFault(f"it is no tar, or damaged: {error}") from None
    if min(member.size, member.mode, member.uid, member.gid, member.mtime) < 0:
        raise TarFault("it is no tar, or damaged: a number is negative")
    member.mode &= 0o7777
    member.source = source
    member.left = member.size if member.kind == "file" or member.kind.startswith("type") else 0
    member.padding = -member.left % BLOCK
    return member


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")


def _extended(text: bytes) -> dict[str, str]:
    """The path and linkpath of a set of pax headers: `LENGTH KEY=VALUE\\n` each."""
    found = {}
    while text:
        length, _, _ = text.partition(b" ")
        if not (length.isdigit() and 0 < int(length) <= len(text)):
            raise TarFault("it has a broken extended header")
        key, _, value = text[len(length) + 1 : int(length) - 1].partition(b"=")
        if key in (b"path", b"linkpath"):
            found[key.decode()] = _text(value)
        text = text[int(length) :]
    return found
