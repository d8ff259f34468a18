"""A package of apk's as a tree of members, and as bytes: encode() and read(). apk.py says what goes into one.

encode() adds values in the order of `apk mkpkg` (apk-tools' app_mkpkg.c), which decides the bytes. read() trusts
nothing: every hash, size and path has been checked when it returns. The lab's stand-in for apk reads by this file, too.
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from forge.packages.adb import adb
from forge.packages.adb.schema import ACL, DIRECTORY, FILE, INDEX_SCHEMA, INFO, PACKAGE, PACKAGE_SCHEMA, SCRIPTS

UNIQUE_ID = 20  # bytes of it

_INDEXES = struct.Struct("<II")  # before a file's data: the number of its directory, and its own in there
_TARGET = struct.Struct("<H")  # before a link's target: the type of file


class ApkError(adb.AdbError):
    """A package that can't be packed, or a file that is no good package."""


@dataclass(frozen=True)
class Member:
    """Something in a package's tree. `path` has no leading slash, the root's is empty; `content` is a file's bytes, or
    where a link points to; `mode` has the permission bits alone; `owner` is "user:group"."""

    path: str
    kind: Literal["directory", "file", "link"]
    mode: int
    content: bytes = b""
    owner: str = "root:root"


@dataclass(frozen=True)
class Archive:
    """A package: `info` by the names of adb.schema.INFO, the tree in apk's order, scripts by apk's names."""

    info: dict[str, Any]
    members: list[Member]
    scripts: dict[str, str]


# Writing


def encode(info: dict[str, Any], members: Iterable[Member], scripts: dict[str, str], epoch: int) -> bytes:
    """A package's bytes. The order in which values are added is that of `apk mkpkg`, and decides the bytes."""
    folders = _folders(members)
    writer = adb.Writer()
    slots = writer.slots(INFO, info)
    paths = [_directory(writer, folder, files, epoch) for folder, files in folders]
    size = sum(len(file.content) for _, files in folders for file in files if file.kind == "file")
    slots[INFO.slot("installed-size")] = writer.number(size or 1)
    unique_id = writer.blob(bytes(UNIQUE_ID), shared=False)
    slots[INFO.slot("hashes")] = unique_id
    root = {
        PACKAGE.slot("info"): writer.object(slots),
        PACKAGE.slot("paths"): writer.array(paths),
        PACKAGE.slot("scripts"): writer.value(SCRIPTS, scripts),
    }
    body = writer.finish(writer.object(root))
    start = (unique_id & 0x0FFFFFFF) + 1
    body[start : start + UNIQUE_ID] = hashlib.sha256(body).digest()[:UNIQUE_ID]
    data = [
        _INDEXES.pack(path_index, file_index) + file.content
        for path_index, (_, files) in enumerate(folders, 1)
        for file_index, file in enumerate(files, 1)
        if file.kind == "file" and file.content
    ]
    return adb.File(PACKAGE_SCHEMA, bytes(body), data=tuple(data)).encode()


def _folders(members: Iterable[Member]) -> list[tuple[Member, list[Member]]]:
    """Each directory with its files, all in apk's order; directories that nobody listed are 0755."""
    every: dict[str, Member] = {}
    for member in members:
        if member.path in every and "directory" not in (member.kind, every[member.path].kind):
            raise ApkError(f"/{member.path} is in the package twice")
        every[member.path] = member
    for path in ["", *(parent for one in list(every) for parent in _parents(one))]:
        if every.setdefault(path, Member(path, "directory", 0o755)).kind != "directory":
            raise ApkError(f"/{path} is both a directory and something else")
    files: dict[str, list[Member]] = {path: [] for path, member in every.items() if member.kind == "directory"}
    for path in sorted(every, key=os.fsencode):
        if every[path].kind != "directory":
            files[path.rpartition("/")[0]].append(every[path])
    return [(every[path], files[path]) for path in sorted(files, key=os.fsencode)]


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def _directory(writer: adb.Writer, folder: Member, files: list[Member], epoch: int) -> int:
    words = [_file(writer, file, epoch) for file in files]
    slots = writer.slots(DIRECTORY, {"name": folder.path, "acl": _acl(folder)})
    return writer.object({**slots, DIRECTORY.slot("files"): writer.array(words)})


def _file(writer: adb.Writer, file: Member, epoch: int) -> int:
    slots = writer.slots(FILE, {"name": file.path.rpartition("/")[2]})
    if file.kind == "file":
        slots[FILE.slot("hash")] = writer.blob(hashlib.sha256(file.content).digest())
    else:
        slots[FILE.slot("target")] = writer.blob(_TARGET.pack(stat.S_IFLNK) + file.content)
    slots[FILE.slot("mtime")] = writer.number(epoch)
    slots[FILE.slot("size")] = writer.number(len(file.content))
    slots[FILE.slot("acl")] = writer.value(ACL, _acl(file))
    return writer.object(slots)


def _acl(member: Member) -> dict[str, Any]:
    user, _, group = member.owner.partition(":")
    return {"mode": member.mode, "user": user, "group": group}


# Reading


def read(content: bytes) -> Archive:
    """Take a package apart; AdbError (ApkError is one) for everything that is wrong with it."""
    return archive(adb.decode(content))


def archive(file: adb.File) -> Archive:
    """The same of a file that is taken apart already: a router has no memory to do so twice."""
    if file.schema != PACKAGE_SCHEMA:
        raise ApkError("it holds no package" + (", but an index" if file.schema == INDEX_SCHEMA else ""))
    tree = adb.read(file.body, PACKAGE)
    info = tree.get("info", {})
    if not {"name", "version"} <= info.keys():
        raise ApkError("it names no package, or no version")
    _check_unique_id(file.body, info.get("hashes", b""))
    every: dict[str, Member] = {}
    data = iter(file.data)
    for path_index, folder in enumerate(tree.get("paths", []), 1):
        name = folder.get("name", "")
        _take(Member(name, "directory", *_rights(folder)), every)
        for file_index, one in enumerate(folder.get("files", []), 1):
            _take(_member(name, one, _INDEXES.pack(path_index, file_index), data, every), every)
    if next(data, None) is not None:
        raise ApkError("it holds data that belongs to no file")
    return Archive(info, list(every.values()), tree.get("scripts", {}))


def _check_unique_id(body: bytes, unique_id: bytes) -> None:
    """Raw deflate has no checksum: this finds damage in the metadata, which in turn has the hash of each file."""
    made = hashlib.sha256(body.replace(unique_id, bytes(len(unique_id)), 1)).digest()
    if len(unique_id) != UNIQUE_ID or made[:UNIQUE_ID] != unique_id:
        raise ApkError("its metadata is damaged: the package's unique id does not match")


def _take(member: Member, every: dict[str, Member]) -> None:
    """Add a member, if its path is within the package's tree, there once only, and not by way of a link or a file."""
    parts = member.path.split("/") if member.path else []
    if "\0" in member.path or any(part in ("", ".", "..") for part in parts):
        raise ApkError(f"it holds a file with the path {member.path!r}")
    if member.path in every:
        raise ApkError(f"/{member.path} is in it twice")
    if any(parent in every and every[parent].kind != "directory" for parent in _parents(member.path)):
        raise ApkError(f"/{member.path} lies in what is no directory")
    every[member.path] = member


def _rights(tree: dict[str, Any]) -> tuple[int, bytes, str]:
    """The last three fields of an member without content."""
    acl = tree.get("acl", {})
    mode = acl.get("mode", 0)
    if mode & ~0o7777:
        raise ApkError(f"it holds a file with the mode {mode:o}")
    return mode, b"", f"{acl.get('user', 'root')}:{acl.get('group', 'root')}"


def _member(folder: str, tree: dict[str, Any], head: bytes, data: Iterator[bytes], every: dict[str, Member]) -> Member:
    """One file or link of the directory `folder`; `data` yields what is left of the data blocks."""
    name, size = tree.get("name", ""), tree.get("size", 0)
    if not name or "/" in name:
        raise ApkError(f"it holds a file with the name {name!r}")
    path = f"{folder}/{name}" if folder else name
    mode, _, owner = _rights(tree)
    if "target" in tree:
        kind, target = int.from_bytes(tree["target"][:2], "little"), tree["target"][2:]
        if kind == stat.S_IFLNK:
            return Member(path, "link", mode, target, owner)
        original = every.get(target.decode(errors="surrogateescape"))
        if kind != stat.S_IFREG or original is None or original.kind != "file":
            raise ApkError(f"/{path} is a device, a pipe, or a hard link to nothing")
        return Member(path, "file", mode, original.content, owner)
    content = b""
    if size:
        block = next(data, b"")
        content = block[len(head) :]
        if block[: len(head)] != head or len(content) != size:
            raise ApkError(f"the data of /{path} is missing, or of another size")
    if hashlib.sha256(content).digest() != tree.get("hash"):
        raise ApkError(f"the data of /{path} is damaged: its hash does not match")
    return Member(path, "file", mode, content, owner)
