"""Replies of an SMTP server (RFC 5321 4.2): reading them within bounds, and what they say to people.

Knows nothing of what a reply answers. Used by client; Reply goes through to the courier and the log.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_LINE = 4096  # bytes; RFC 5321 4.5.3.1.5 says 512, some servers say more
MAX_LINES = 128
MAX_TEXT = 1000  # characters of a reply that are kept for people


class Reply:
    """One reply of the server, or of ourselves in its place."""

    __slots__ = ("code", "lines")

    def __init__(self, code: int, lines: Sequence[bytes]) -> None:
        self.code = code
        self.lines = lines  # without the code and without line ends

    @property
    def ok(self) -> bool:
        return 200 <= self.code < 300

    @property
    def transient(self) -> bool:
        return 400 <= self.code < 500

    @property
    def permanent(self) -> bool:
        return self.code >= 500

    @property
    def enhanced(self) -> str:
        """The enhanced status code (RFC 2034), "" if there is none."""
        return _enhanced(self.lines[0], self.code) if self.lines else ""

    @property
    def text(self) -> str:
        """What it says, for people: one line, printable characters only, at most MAX_TEXT of them."""
        words = []
        length = 0
        for line in self.lines:
            code = _enhanced(line, self.code)
            words.append(line[len(code) :].strip().decode("utf-8", "replace"))
            length += len(line)
            if length > MAX_TEXT:
                break
        text = " ".join(filter(None, words))[:MAX_TEXT]
        return "".join(c if c.isprintable() else "?" for c in text)

    def __str__(self) -> str:
        return " ".join(filter(None, (str(self.code), self.enhanced, self.text)))

    def __repr__(self) -> str:
        return f"<Reply {self}>"


def _enhanced(line: bytes, code: int) -> str:
    word = line.partition(b" ")[0]
    parts = word.split(b".")
    if len(parts) == 3 and all(0 < len(p) <= 3 and p.isdigit() for p in parts) and parts[0] == b"%d" % (code // 100):
        return word.decode("ascii")
    return ""


class Garbage(ValueError):
    """What the server says is not SMTP."""


class Reader:
    """Bytes in, one Reply at a time out."""

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

    def next(self) -> Reply | None:
        """The next whole reply, or None. Garbage if there cannot be one."""
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
                raise Garbage("the server says what is not SMTP: " + Reply(0, [line[:80]]).text)
            self._lines.append(line[4:])
            if mark != b"-":
                lines, self._lines = self._lines, []
                return Reply(int(line[:3]), lines)
            if len(self._lines) >= MAX_LINES:
                raise Garbage("a reply of the server has too many lines")
