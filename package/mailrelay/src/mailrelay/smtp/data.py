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
_LINE_ENDS = b"\r\n"
_QUIT = b"QUIT"
_MAX_TAIL = 32  # bytes from a lone dot on that are held back while they may be the end

MAX_RECEIVED: Final = 100
# A header field's name ends within its first bytes; no more of a line is kept to tell what it is.
_NAME_SPAN = 256


class EndOfData:
    """Finds the end of data, RFC 5321 4.1.1.4, without letting one message become two.

    | line before the dot ends with | dot line ends with | no CRLF line so far | a CRLF line so far |
    |-------------------------------|--------------------|---------------------|--------------------|
    | CRLF (also DATA's own)        | CRLF               | end                 | end                |
    | LF (also DATA's own)          | LF                 | end, `bare`         | `ambiguous`        |
    | any other mixture of CR, LF, CRLF, CR CR LF        | `ambiguous`         | `ambiguous`        |

    An ambiguous dot line is the end if nothing follows it, as the owner of time finds out, or nothing but line ends
    and QUIT, of which no second message can come. If anything else follows, all of it is content. `bare` tells of an
    end that a sender of CRLF may not have meant: what follows could be content, made to look like a second message.
    """

    __slots__ = ("_before", "_held", "_strict", "ambiguous", "bare")

    def __init__(self, crlf: bool) -> None:
        """crlf: the DATA command line ended with CRLF, not with a bare LF."""
        self._before = b"\r\n" if crlf else b"\n"  # the last two bytes before `_held`, if the second ends a line
        self._held = b""  # a lone dot and what follows it, or their beginning: not passed on yet
        self._strict = False  # a CRLF line was passed on: LF, dot, LF is no end
        self.ambiguous = self.bare = False

    def feed(self, data: bytes) -> tuple[bytes, bytes | None]:
        """Take the next bytes, at least one; return their content, and what follows the end, None if it goes on."""
        unsent = len(self._before)
        window = self._before + self._held + data
        self.ambiguous = False
        if not self._strict:
            crlf = window.find(b"\r\n", unsent - 1 if unsent else 0)
            start = unsent if window.startswith(b"\r\n") else 0  # only DATA's own line end can be CRLF here
            end = window.find(b"\n.\n", start, crlf if crlf >= 0 else len(window))
            if end >= 0:
                self.bare = True
                return window[unsent : end + 1], window[end + 3 :]
        end = window.find(END)
        if end >= 0:
            return window[unsent : end + 2], window[end + 5 :]
        sent = len(window) - self._hold(window, unsent)
        self._strict = self._strict or 0 <= crlf < sent
        self._before = window[max(sent - 2, 0) : sent] if window[sent - 1 : sent] in (b"\r", b"\n") else b""
        return window[unsent:sent], None

    def command(self) -> bytes:
        """Return what follows an ambiguous dot line: a line with QUIT, or b""."""
        return self._held[1:].lstrip(_LINE_ENDS)

    def _hold(self, window: bytes, unsent: int) -> int:
        """Hold back what may be the end once nothing follows: a lone dot, line ends, QUIT. Return its length."""
        self._held = b""
        dot = window.rfind(b".", max(unsent, len(window) - _MAX_TAIL))
        if dot < 1 or window[dot - 1] not in _LINE_ENDS:
            return 0
        tail = window[dot + 1 :]
        command = tail.lstrip(_LINE_ENDS)
        rest = command[len(_QUIT) :]
        if not _QUIT.startswith(command[: len(_QUIT)].upper()) or rest.strip(_LINE_ENDS):
            return 0
        if command and len(command) == len(tail):  # .Q, a stuffed or plain line
            return 0
        self._held = window[dot:]
        self.ambiguous = b"\n" in rest if command else bool(tail)
        return len(self._held)


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
