"""Reads the replies of an SMTP server within bounds. Knows nothing of what they answer. Used by the client session."""

from __future__ import annotations

from mailrelay.core.text import printable
from mailrelay.smtp.reply import Reply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_LINE = 4096  # bytes; RFC 5321 4.5.3.1.5 says 512, some servers say more
MAX_LINES = 128
MAX_TEXT = 1000  # characters of a reply that are kept for people


class Garbage(ValueError):
    """What the server says is not SMTP."""


class Reader:
    """Bytes in, the lines of one reply at a time out."""

    __slots__ = ("_buffer", "_start", "_lines")

    def __init__(self) -> None:
        self._buffer = b""
        self._start = 0  # of what is not yet read in _buffer
        self._lines: list[bytes] = []  # of the reply that is being read

    def feed(self, data: bytes) -> None:
        self._buffer = self._buffer[self._start :] + data
        self._start = 0

    def forget(self) -> None:
        """Drop what is not yet read."""
        self.__init__()  # type: ignore[misc]

    def next(self) -> tuple[int, list[bytes]] | None:
        """Return code and lines of the next whole reply, or None. Raise Garbage if there cannot be one.

        The lines have neither the code nor a line end.
        """
        while True:
            start = self._start
            end = self._buffer.find(b"\n", start)
            if (end if end >= 0 else len(self._buffer)) - start > MAX_LINE:
                raise Garbage("a line of the server is too long")
            if end < 0:
                return None
            self._start = end + 1
            line = self._buffer[start:end]
            if line.endswith(b"\r"):
                line = line[:-1]
            mark = line[3:4]
            if not (b"200" <= line[:3] <= b"599" and line[:3].isdigit() and mark in b" -"):
                raise Garbage("the server says what is not SMTP: " + as_reply(0, [line[:80]]).text)
            self._lines.append(line[4:])
            if mark != b"-":
                lines, self._lines = self._lines, []
                return int(line[:3]), lines
            if len(self._lines) >= MAX_LINES:
                raise Garbage("a reply of the server has too many lines")


def as_reply(code: int, lines: Sequence[bytes]) -> Reply:
    """Make a Reply of what was read; its text is one line of printable characters, at most MAX_TEXT of them."""
    words = []
    length = 0
    for line in lines:
        words.append(line[len(_enhanced(line, code)) :].strip().decode("utf-8", "replace"))
        length += len(line)
        if length > MAX_TEXT:
            break
    return Reply(code, _enhanced(lines[0], code), printable(" ".join(filter(None, words))[:MAX_TEXT]))


def _enhanced(line: bytes, code: int) -> str:
    """Return the enhanced status code (RFC 2034) that the line begins with, "" if there is none."""
    word = line.partition(b" ")[0]
    parts = word.split(b".")
    if len(parts) == 3 and all(0 < len(p) <= 3 and p.isdigit() for p in parts) and parts[0] == b"%d" % (code // 100):
        return word.decode("ascii")
    return ""
