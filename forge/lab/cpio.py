"""Writes a cpio archive as the kernel unpacks it for an initrd ("newc", Documentation/driver-api/early-userspace).

In Python, because device nodes need no root that way, and everything in it can belong to root. kernel.py calls this.
"""

from __future__ import annotations

import stat

TRAILER = "TRAILER!!!"


class Archive:
    """Entries are added in order; folders on the way to one are made for it. All belong to 0:0, and have no time."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._folders = {""}
        self._inode = 0

    def folder(self, path: str) -> None:
        path = path.strip("/")
        if path not in self._folders:
            self._folders.add(path)
            self._add(path, stat.S_IFDIR | 0o755)

    def file(self, path: str, data: bytes, mode: int = 0o644) -> None:
        self._add(path, stat.S_IFREG | mode, data)

    def link(self, path: str, target: str) -> None:
        self._add(path, stat.S_IFLNK | 0o777, target.encode())

    def device(self, path: str, major: int, minor: int, mode: int = 0o600) -> None:
        """A character device."""
        self._add(path, stat.S_IFCHR | mode, device=(major, minor))

    def closed(self) -> bytes:
        """The whole archive, closed."""
        self._add(TRAILER, 0)
        return b"".join(self._parts)

    def _add(self, path: str, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)) -> None:
        path = path.strip("/")
        self.folder(path.rpartition("/")[0])
        name = path.encode() + b"\0"
        self._inode += 1
        links = 2 if stat.S_ISDIR(mode) else 1
        fields = (self._inode, mode, 0, 0, links, 0, len(data), 0, 0, *device, len(name), 0)
        header = b"070701" + b"".join(b"%08X" % field for field in fields)
        self._parts += [_padded(header + name), _padded(data)]


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
