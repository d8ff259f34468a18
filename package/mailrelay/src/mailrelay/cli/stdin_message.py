"""A mail from standard input: read to its end, kept once, ready to be sent or queued any number of times.

Small ones stay in memory, large ones lie in a file without a name. Knows headers as far as sendmail's options need
them. Called by sendmail alone.
"""

from __future__ import annotations

import os

from mailrelay.spool.spool import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_CHUNK = 65536
_IN_MEMORY = 1 << 18  # bytes; what is larger goes into a file
_HEAD = 1 << 20  # bytes in which the header section is looked for
_PLACES = ("/tmp", "/var/tmp")


def text_of(chunks: Iterable[bytes], dot_ends: bool) -> Iterator[bytes]:
    """Yield the mail with LF line ends only. With dot_ends a single dot on a line ends it, also on the last, open line.

    CR LF and CR CR LF are line ends, and so is any other CR: the relay would take them as such too.
    """
    held = b""  # CRs whose LF may follow
    pending = b"\n"  # a line end, or a line end and a dot, that may turn out to be the end; at first a virtual one
    begun = False
    for chunk in chunks:
        data = held + chunk
        end = len(data) - (2 if data.endswith(b"\r\r") else 1 if data.endswith(b"\r") else 0)
        data, held = data[:end], data[end:]
        if b"\r" in data:
            data = data.replace(b"\r\n", b"\n").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        data = pending + data
        stop = data.find(b"\n.\n") if dot_ends else -1
        if stop >= 0:
            data, pending = data[: stop + 1], b""
        else:
            keep = 2 if data.endswith(b"\n.") else 1 if data.endswith(b"\n") else 0
            data, pending = data[: len(data) - keep], data[len(data) - keep :]
        if data:
            yield data if begun else data[1:]
            begun = True
        if stop >= 0:
            return
    data = pending + held.replace(b"\r", b"\n")
    if dot_ends and (data == b"\n." or data.startswith(b"\n.\n")):
        data = b"\n"
    if not begun:
        data = data[1:]
    if data:
        yield data


class StdinMessage:
    """The text, and what its envelope has to know."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._parts: list[bytes] = []
        self._fd = -1
        self._size = 0
        self._first = b""  # goes before the text: a header field
        self._start = 0  # where the text begins
        self.eightbit = False
        for chunk in chunks:
            self._size += len(chunk)
            self.eightbit = self.eightbit or not chunk.isascii()
            if self._fd < 0 and self._size > _IN_MEMORY:
                self._fd = _nameless_file()
                for part in self._parts:
                    write_all(self._fd, part)
                self._parts.clear()
            if self._fd < 0:
                self._parts.append(chunk)
            else:
                write_all(self._fd, chunk)

    def _read(self, at: int, count: int) -> bytes:
        if self._fd >= 0:
            return os.pread(self._fd, count, at)
        if len(self._parts) > 1:
            self._parts = [b"".join(self._parts)]
        return self._parts[0][at : at + count] if self._parts else b""

    def head(self) -> bytes:
        """Return what may be the header section: all that stands before the first empty line."""
        return (b"\n" + self._read(0, _HEAD)).partition(b"\n\n")[0][1:] + b"\n"

    def has_from(self) -> bool:
        lines = self.head().lower().split(b"\n")
        return any(line.startswith(b"from") and line[4:].lstrip().startswith(b":") for line in lines)

    def put_first(self, field: bytes) -> None:
        """Set a header field, with its LF, before everything; a line that begins an mbox would hide it, and goes."""
        self._first = field
        head = self._read(0, 4096)
        self._start = head.find(b"\n") + 1 if head.startswith(b"From ") else 0
        self.eightbit = self.eightbit or not field.isascii()

    def wire(self) -> Iterator[bytes]:
        """Yield what goes over the wire before the final dot: CRLF, dots stuffed, ending in CRLF."""
        data = self._first
        line_start = True
        at = self._start
        while True:
            if data:
                if b"\n." in data:
                    data = data.replace(b"\n.", b"\n..")
                if line_start and data.startswith(b"."):
                    data = b"." + data
                line_start = data.endswith(b"\n")
                yield data.replace(b"\n", b"\r\n")
            data = self._read(at, _CHUNK)
            if not data:
                break
            at += len(data)
        if not line_start:
            yield b"\r\n"

    def wire_size(self) -> int:
        """Count the bytes that wire() makes."""
        return sum(map(len, self.wire()))


def _nameless_file() -> int:
    for place in (os.environ.get("TMPDIR", ""), *_PLACES):
        try:
            return os.open(place, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError:  # no such folder, or a file system without such files
            pass
    return os.memfd_create("mail")
