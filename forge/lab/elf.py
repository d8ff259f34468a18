"""What the lab reads of ELF files: the libraries that a program asks for, and what a kernel module says of itself.

Little-endian only, as all the lab's targets are. rootfs.py, kernel.py and postfix.py call this; nothing here writes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from forge.core.errors import ForgeError

MAGIC = b"\x7fELF"
SHT_NOBITS = 8
DT_NEEDED = 1
# e_shoff, e_shentsize, e_shnum, e_shstrndx lie here in the file's header; name, type, offset and size in a section's.
HEADERS = {1: ("<I", 32, "<HHH", 46), 2: ("<Q", 40, "<HHH", 58)}
SECTIONS = {1: "<II8xII", 2: "<II16xQQ"}
DYNAMIC = {1: "<iI", 2: "<qQ"}


def is_elf(data: bytes) -> bool:
    return data[:4] == MAGIC


def sections(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Name and contents of each section, a name maybe more than once. ForgeError where it is no little-endian ELF."""
    if not is_elf(data) or data[4] not in HEADERS or data[5] != 1:
        raise ForgeError("this is no ELF file for a little-endian machine")
    word, at, shape, after = HEADERS[data[4]]
    (start,) = struct.unpack_from(word, data, at)
    size, count, names_at = struct.unpack_from(shape, data, after)
    headers = [struct.unpack_from(SECTIONS[data[4]], data, start + number * size) for number in range(count)]
    names = data[headers[names_at][2] :] if count else b""
    for name, kind, offset, length in headers:
        contents = b"" if kind == SHT_NOBITS else data[offset : offset + length]
        yield names[name : names.index(b"\0", name)].decode(), contents


def needed(data: bytes) -> list[str]:
    """The libraries that a program or library asks its loader for (DT_NEEDED), in order."""
    found = dict(sections(data))
    strings = found.get(".dynstr", b"")
    entries = struct.iter_unpack(DYNAMIC[data[4]], found.get(".dynamic", b""))
    places = [value for tag, value in entries if tag == DT_NEEDED]
    return [strings[place : strings.index(b"\0", place)].decode() for place in places]


def modinfo(data: bytes) -> dict[str, list[str]]:
    """What a kernel module says of itself: `depends`, `alias`, `name` … with all their values (section .modinfo)."""
    found: dict[str, list[str]] = {}
    for word in dict(sections(data)).get(".modinfo", b"").split(b"\0"):
        key, _, value = word.decode(errors="replace").partition("=")
        if key:
            found.setdefault(key, []).append(value)
    return found
