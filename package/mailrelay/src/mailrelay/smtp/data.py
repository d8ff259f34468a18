"""The content of one message as it streams in: where it ends (EndOfData), and whether it keeps to the limits (Limits).

Used by the SMTP server session alone. Content passes as it was received, still dot-stuffed; nothing is decoded, mended
or kept here. Both classes are functions of the byte stream: how it was cut into chunks never changes what they say.
"""

from __future__ import annotations

from mailrelay.smtp import replies

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from mailrelay.smtp.reply import Reply

END: Final = b"\r\n.\r\n"
_LONE_DOTS = (b".", b".\r", b".\n", b".\r\n")

MAX_RECEIVED: Final = 100
# A header field's name ends within its first bytes; no more of a line is kept to tell what it is.
_NAME_SPAN = 256


class EndOfData:
    """Finds the end of data, RFC 5321 4.1.1.4, without letting one message become two.

    | line before the dot ends with | dot line ends with | no CRLF line so far          | a CRLF line so far |
    |-------------------------------|--------------------|------------------------------|--------------------|
    | CRLF (also DATA's own)        | CRLF               | end                          | end                |
    | LF (also DATA's own)          | LF                 | end, `bare`                  | content            |
    | any other mixture of CR, LF, CRLF, start of data   | `ambiguous` while it is last | content            |

    An ambiguous line is the end only if nothing follows it, as the owner of time finds out. `bare` tells of an end that
    a sender of CRLF may not have meant: what follows could be content, made to look like a second message.
    """

    __slots__ = ("_opening", "_strict", "_at", "_held", "_before", "ambiguous", "bare")

    def __init__(self, crlf: bool) -> None:
        """crlf: the DATA command line ended with CRLF, not with a bare LF."""
        self._opening = b"\r\n" if crlf else b"\n"  # line end of the DATA command, until content has begun
        self._strict = False  # a CRLF line was seen: only END ends
        self._at = 0  # strict: how many bytes of END the stream's end matches; those after its CRLF are held
        self._held = b""  # not strict: the lone dot line, or its beginning, that is not yet passed on as content
        self._before = b""  # not strict: the last byte passed on, if it ends a line
        self.ambiguous = self.bare = False

    def feed(self, data: bytes) -> tuple[bytes, bytes | None]:
        """Take the next bytes, at least one; return their content, and what follows the end, None if it goes on."""
        return self._feed_strict(data) if self._strict else self._feed_loose(data)

    def _feed_strict(self, data: bytes) -> tuple[bytes, bytes | None]:
        held = b""
        at = self._at
        if at:
            # No shorter match can begin inside END[:at] once the next byte differs, so a mismatch starts afresh.
            missing = END[at:]
            if data.startswith(missing):
                return END[at:2], data[len(missing) :]
            if missing.startswith(data):
                self._at = at + len(data)
                return END[at : min(2, self._at)], None
            held = END[2:at]
        return self._cut(held + data, 0, 0)

    def _feed_loose(self, data: bytes) -> tuple[bytes, bytes | None]:
        window = self._before + self._held + data
        unsent = len(self._before)
        self.ambiguous = False
        if self._opening:
            mark = b"." + self._opening
            if window.startswith(mark):
                self.bare = mark == b".\n"
                return b"", window[len(mark) :]
            if window in _LONE_DOTS:
                self._held = window
                self.ambiguous = window != b"."
                return b"", None
            self._opening = b""
        crlf = window.find(b"\r\n")
        end = window.find(b"\n.\n", 0, crlf if crlf >= 0 else len(window))
        if end >= 0:
            self.bare = True
            return window[unsent : end + 1], window[end + 3 :]
        held = _lone_dot(window) if crlf < 0 or crlf == len(window) - 2 else b""
        if crlf >= 0 and not held:
            self._strict = True
            self._held = self._before = b""
            return self._cut(window, unsent, crlf)
        self._held = held
        self.ambiguous = len(held) > 1
        sent = len(window) - len(held)
        last = window[sent - 1 : sent]
        self._before = last if last in (b"\r", b"\n") else b""
        return window[unsent:sent], None

    def _cut(self, window: bytes, unsent: int, start: int) -> tuple[bytes, bytes | None]:
        end = window.find(END, start)
        if end >= 0:
            return window[unsent : end + 2], window[end + 5 :]
        self._at = at = _overlap(window)
        if at > 2:
            return window[unsent : 2 - at], None
        return window[unsent:], None


def _overlap(window: bytes) -> int:
    """Return how many bytes of END the window ends with."""
    if window[-1] not in b"\r\n.":
        return 0
    for length in (4, 3, 2, 1):
        if window.endswith(END[:length]):
            return length
    return 0


def _lone_dot(window: bytes) -> bytes:
    """Return the last line of the window if it is a lone dot, or may become one, after a line that CR or LF ended."""
    if window[-1] not in b"\r\n.":
        return b""
    for line in _LONE_DOTS:
        if window.endswith((b"\r" + line, b"\n" + line)):
            return line
    return b""


class Limits:
    """Holds one message to its limits while it streams: size, length of a line, length of the header, mail loops."""

    __slots__ = ("_left", "_too_big", "_max_line", "_line", "_max_header", "_header", "_field", "_start", "_received")

    def __init__(self, size: int, too_big: Reply, max_line: int, max_header: int) -> None:
        """size: bytes the message may have; too_big: the reply when it has more."""
        self._left = size
        self._too_big = too_big
        self._max_line = max_line
        self._max_header = max_header
        self._line = 0  # bytes since the last LF
        self._header = 0  # bytes of complete header lines; -1 once the body has begun
        self._field = 0  # bytes of the header line that is not complete yet
        self._start = b""  # its first bytes
        self._received = 0  # Received fields so far

    def check(self, content: bytes) -> Reply | None:
        """Count the next bytes of content; return the reply that refuses the message if a limit is passed, else None.

        Of several limits passed, the one that the stream passes first counts, so each check sees only what lies before
        the fault found by the one ahead of it.
        """
        reply = None
        if len(content) > self._left:
            content = content[: self._left]
            reply = self._too_big
        self._left -= len(content)
        fault = self._long_line(content)
        if fault >= 0:
            content = content[:fault]
            reply = replies.LONG_LINE.fill(self._max_line)
        if self._header >= 0:
            reply = self._scan_header(content) or reply
        return reply

    def _long_line(self, content: bytes) -> int:
        """Return where a line passes its limit, or -1. Go forward by as much as one line may have, not line by line."""
        position = 0
        length = self._line
        while len(content) - position > self._max_line - length:
            reach = position + self._max_line - length
            end = content.rfind(b"\n", position, reach + 1)
            if end < 0:
                return reach
            position = end + 1
            length = 0
        end = content.rfind(b"\n", position)
        self._line = length + len(content) - position if end < 0 else len(content) - end - 1
        return -1

    def _scan_header(self, content: bytes) -> Reply | None:
        if not self._field:
            # The usual header lies in one piece and is far from both limits: no need to look at its lines.
            end = content.find(b"\n\r\n")
            if end < 0:
                end = content.find(b"\n\n")
            if (
                0 <= end < self._max_header - self._header
                and content[:end].lower().count(b"received:") + self._received < MAX_RECEIVED
            ):
                self._header = -1
                return None
        position = 0
        while True:
            newline = content.find(b"\n", position)
            end = len(content) if newline < 0 else newline + 1
            self._start += content[position : min(end, position + _NAME_SPAN - len(self._start))]
            self._field += end - position
            if newline < 0:
                return None
            if not _is_field(self._start, self._header == 0):
                self._header = -1
                return None
            self._header += self._field
            if self._header > self._max_header:
                return replies.LONG_HEADER.fill(self._max_header)
            if self._start[:9].lower() == b"received:":
                self._received += 1
                if self._received >= MAX_RECEIVED:
                    return replies.MAIL_LOOP.fill(MAX_RECEIVED)
            self._start = b""
            self._field = 0
            position = end


def _is_field(line: bytes, first: bool) -> bool:
    """Return whether this line belongs to the header. The first one that does not starts the body, blank or not."""
    if line[:1] in (b" ", b"\t"):
        return not first
    name, colon, _ = line.partition(b":")
    name = name.rstrip(b" \t")
    return bool(colon and name) and name.isascii() and name.translate(None, b" \t\r\n\0") == name


class Content:
    """What is kept of a message while its content comes in."""

    __slots__ = ("end", "fault", "limits")

    def __init__(self, end: EndOfData, limits: Limits) -> None:
        self.end = end
        self.limits = limits
        self.fault: Reply | None = None  # the reply at the end of a message that is over a limit
