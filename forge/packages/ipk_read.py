"""Reads an .ipk for people and for the feed's index: its control data, scripts and list of files.

Whatever the file claims, nothing is unpacked; what an installer could be tricked with is told as a fault. The packer is
ipk.py, which also has inspect() under its own name.
"""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import BinaryIO, cast

from forge.core import paths
from forge.core.errors import ForgeError
from forge.packages import tar_reader
from forge.packages.package import Contents, Entry

SCRIPTS = ("preinst", "postinst", "postinst-pkg", "prerm", "prerm-pkg", "postrm")
MEMBERS = ("./debian-binary", "./data.tar.gz", "./control.tar.gz")
TEXT = 1 << 20  # bytes of one control file


class IpkError(ForgeError):
    """A file is no ipk at all."""


def inspect(path: Path) -> Contents:
    """What the file says and holds. A control value is as it stands after `Name: `, with its further lines."""
    contents = Contents("ipk", [], {}, [], [])
    seen = []
    with path.open("rb") as file:
        start = file.read(8)
        file.seek(0)
        if start[:2] != b"\x1f\x8b":
            what = "an ar archive, as a .deb is" if start == b"!<arch>\n" else "no gzip file"
            raise IpkError(f"{paths.shown(path)} is no ipk: it is {what}")
        try:
            for member in tar_reader.members(tar_reader.Source(file)):
                seen.append(member.name)
                if member.name.endswith("/data.tar.gz"):
                    _data(member, contents)
                elif member.name.endswith("/control.tar.gz"):
                    _control(member, contents)
                elif member.name.endswith("/debian-binary") and member.read(4) != b"2.0\n":
                    contents.faults.append("debian-binary is not 2.0")
        except tar_reader.TarFault as fault:
            if not seen:
                raise IpkError(f"{paths.shown(path)} is no ipk: {fault}") from fault
            contents.faults.append(f"the package itself: {fault}")
    contents.faults.extend(f"{name} is missing" for name in MEMBERS if name not in seen)
    contents.faults.extend(f"{name} is no part of an ipk" for name in seen if name not in MEMBERS)
    return contents


def _control(member: tar_reader.Member, contents: Contents) -> None:
    try:
        for inner in tar_reader.members(tar_reader.Source(cast(BinaryIO, member))):
            name = posixpath.basename(inner.name)
            if inner.kind != "file":
                if inner.kind != "directory":
                    contents.faults.append(f"control data: {inner.name} is a {inner.kind}")
                continue
            if inner.size > TEXT:
                contents.faults.append(f"control data: {inner.name} has {inner.size} bytes")
                continue
            text = inner.read().decode("utf-8", "backslashreplace")
            if name == "control":
                contents.control.extend(_fields(text, contents.faults))
            elif name == "conffiles":
                contents.conffiles.extend(text.splitlines())
            elif name in SCRIPTS:
                contents.scripts[name] = text
            else:
                contents.faults.append(f"control data: {inner.name} is not known")
    except tar_reader.TarFault as fault:
        contents.faults.append(f"control.tar.gz: {fault}")
    if not contents.control:
        contents.faults.append("control.tar.gz has no control file")


def _fields(text: str, faults: list[str]) -> list[tuple[str, str]]:
    fields: list[tuple[str, str]] = []
    for number, line in enumerate(text.splitlines(), 1):
        name, colon, value = line.partition(":")
        if line.startswith((" ", "\t")) and fields:
            fields[-1] = (fields[-1][0], f"{fields[-1][1]}\n{line}")
        elif colon and name and not line[0].isspace():
            fields.append((name, value.removeprefix(" ")))
        elif line:
            faults.append(f"control:{number}: {line!r} is no field")
    return fields


def _data(member: tar_reader.Member, contents: Contents) -> None:
    kinds: dict[str, str] = {}
    try:
        for inner in tar_reader.members(tar_reader.Source(cast(BinaryIO, member))):
            path = _path(inner.name)
            contents.faults.extend(f"{inner.name}: {fault}" for fault in _suspicions(inner, path, kinds))
            kinds[path] = inner.kind
            size = inner.size if inner.kind == "file" else 0
            owner = f"{inner.uid}:{inner.gid}"
            contents.files.append(Entry(path, inner.kind, inner.mode, owner, size, inner.linkname))
    except tar_reader.TarFault as fault:
        contents.faults.append(f"data.tar.gz: {fault}")


def _path(name: str) -> str:
    """Where a member goes: "./etc/" is /etc. What leads elsewhere stays as it is."""
    if name.startswith("/") or ".." in name.split("/"):
        return name
    return posixpath.normpath(f"/{name}")


def _suspicions(member: tar_reader.Member, path: str, before: dict[str, str]) -> list[str]:
    faults = []
    if member.name.startswith("/") or ".." in member.name.split("/"):
        faults.append("its path leads out of the root")
    if path in before:
        faults.append("it is there twice")
    folder = posixpath.dirname(path)
    while folder not in ("", "/"):
        if before.get(folder, "directory") != "directory":
            faults.append(f"it lies below {folder}, which is a {before[folder]}")
        folder = posixpath.dirname(folder)
    if member.kind not in ("file", "directory", "link"):
        faults.append(f"it is a {member.kind}")
    elif member.kind != "link" and member.mode & 0o6002:
        faults.append(f"its mode is {member.mode:04o}")
    if (member.uid, member.gid) != (0, 0):
        faults.append(f"it belongs to {member.uid}:{member.gid}")
    return faults
