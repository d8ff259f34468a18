"""Lists a tar that nobody vouches for: headers and, on demand, small contents; nothing is ever written.

The standard library's reader is not used: it walks to wherever a header claims the next one is, for years if need be.
Sizes here count for nothing before their bytes are there, and never more than LIMIT of them are read. For ipk_read.py.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
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


@dataclass
class Member:
    """A header, and the way to its contents as long as the next one has not been asked for."""

    name: str  # as it stands there; bytes that are no UTF-8 as surrogates
    kind: str  # of KINDS, or "type X"
    mode: int
    uid: int
    gid: int
    size: int  # as claimed
    mtime: int
    target: str
    source: Source
    left: int  # bytes of contents still to come
    padding: int  # bytes after them

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
        if header[156:157] in b"LKxg":
            text = member.read(min(member.size, LONG))
            if len(text) < member.size:
                raise TarFault("it has a name without end")
            if header[156:157] in b"LK":
                long["path" if header[156:157] == b"L" else "linkpath"] = _text(text)
            elif header[156:157] == b"x":
                long.update(_extended(text))
        else:
            member.name = long.get("path", member.name)
            member.target = long.get("linkpath", member.target)
            long = {}
            yield member
        member.skip()
    raise TarFault(f"it has more than {MEMBERS} members")


def _member(header: bytes, source: Source) -> Member:
    if sum(header[:148]) + sum(header[156:]) + 8 * 32 != _number(header[148:156]):
        raise TarFault("it is no tar, or damaged: a checksum is wrong")
    kind = KINDS.get(header[156:157], f"type {header[156:157]!r}")
    size = _number(header[124:136])
    name = _text(header[:100])
    if header[257:263] == b"ustar\0" and header[345:500].strip(b"\0"):
        name = f"{_text(header[345:500])}/{name}"
    stored = size if kind == "file" or kind.startswith("type") else 0
    return Member(
        name=name,
        kind=kind,
        mode=_number(header[100:108]) & 0o7777,
        uid=_number(header[108:116]),
        gid=_number(header[116:124]),
        size=size,
        mtime=_number(header[136:148]),
        target=_text(header[157:257]),
        source=source,
        left=stored,
        padding=-stored % BLOCK,
    )


def _number(field: bytes) -> int:
    """Octal digits, or GNU's big-endian binary number for what is too large for them."""
    if field[0] & 0x80:
        value = int.from_bytes(field[1:], "big") if field[0] == 0x80 else -1
    else:
        try:
            value = int(field.strip(b" \0") or b"0", 8)
        except ValueError:
            value = -1
    if value < 0:
        raise TarFault(f"it is no tar, or damaged: {field!r} is no number")
    return value


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
