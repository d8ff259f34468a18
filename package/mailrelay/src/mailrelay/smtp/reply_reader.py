"""Reads the replies of an SMTP server within bounds. Knows nothing of what they answer. Used by the client session."""

from __future__ import annotations

from mailrelay.core.text import printable
from mailrelay.smtp.reply import Reply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_LINE = 4096  # bytes of a line that are kept; RFC 5321 4.5.3.1.5 says 512, some servers say more
MAX_LINES = 128  # of a reply that are kept; only the time limit for a reply ends a longer one
MAX_TEXT = 1000  # characters of a reply that are kept for people


class Garbage(ValueError):
    """What the server says is not SMTP."""


class Reader:
    """Bytes in, the lines of one reply at a time out. It is the code that counts, however odd or long the text is."""

    __slots__ = ("_buffer", "_code", "_lines", "_start")

    def __init__(self) -> None:
        self._buffer = b""
        self._start = 0  # of what is not yet read in _buffer
        self._code = 0  # of the reply that is being read
        self._lines: list[bytes] = []  # of it

    def feed(self, data: bytes) -> None:
        self._buffer = self._buffer[self._start :] + data
        self._start = 0

    def forget(self) -> None:
        """Drop what is not yet read."""
        self.__init__()  # type: ignore[misc]

    def next(self) -> tuple[int, list[bytes]] | None:
        """Return code and lines of the next whole reply, or None. Raise Garbage if there cannot be one.

        The lines have neither the code nor a line end. A line without a code goes on with the reply before its end.
        """
        while (end := self._buffer.find(b"\n", self._start)) >= 0:
            line = self._buffer[self._start : end].removesuffix(b"\r")[:MAX_LINE]
            self._start = end + 1
            if (line or self._lines) and self._add(line):
                reply = self._code, self._lines
                self._lines = []
                return reply
        if len(self._buffer) - self._start > MAX_LINE:
            self._buffer = self._buffer[self._start :][:MAX_LINE]
            self._start = 0
            if not (self._lines or _code(self._buffer)):
                self._add(self._buffer)
        return None

    def begun(self) -> tuple[int, list[bytes]] | None:
        """Return what there is of a reply that never comes to its end; None if not even its code is known."""
        line = self._buffer[self._start :][:MAX_LINE]
        if _code(line):
            self._add(line)
        return (self._code, self._lines) if self._lines else None

    def _add(self, line: bytes) -> bool:
        """Add a line to the reply that is being read. Return whether it is the last one."""
        code = _code(line)
        if not (code or self._lines):
            raise Garbage("the server says what is not SMTP: " + as_reply(0, [line[:80]]).text)
        if code:
            self._code = code
        if len(self._lines) < MAX_LINES:
            self._lines.append(line if not code else line[4:] if line[3:4] in b" -" else line[3:])
        return bool(code) and line[3:4] != b"-"


def _code(line: bytes) -> int:
    """Return the code that the line begins with, 0 for none."""
    digits = line[:3]
    known = len(digits) == 3 and digits.isdigit() and b"200" <= digits <= b"599" and not line[3:4].isdigit()
    return int(digits) if known else 0


def as_reply(code: int, lines: Sequence[bytes]) -> Reply:
    """Make a Reply of what was read; its text is one line of printable characters, at most MAX_TEXT of them."""
    words = []
    length = 0
    for line in lines:
        words.append(line[len(_enhanced(line, code)) :].strip().decode("utf-8", "replace"))
        length += len(line)
        if length > MAX_TEXT:
            break
    enhanced = next(filter(None, (_enhanced(line, code) for line in lines)), "")
    return Reply(code, enhanced, printable(" ".join(filter(None, words))[:MAX_TEXT]))


def _enhanced(line: bytes, code: int) -> str:
    """Return the enhanced status code (RFC 2034) that the line begins with, "" if there is none."""
    word = line.partition(b" ")[0]
    parts = word.split(b".")
    if len(parts) == 3 and all(0 < len(p) <= 3 and p.isdigit() for p in parts) and parts[0] == b"%d" % (code // 100):
        return word.decode("ascii")
    return ""
