"""The bytes of a message between the spool and DATA: what a client sent becomes clean CRLF lines, dot-stuffed anew.

Not for header fields (headers) and not for finding the end of data (smtp/data.py). headers.complete() takes plain()
until the body starts, and feed() from there on; notify takes wire(), `mailrelay show` takes plain(). Memory: one chunk
and one line of 998 octets.
"""

from __future__ import annotations

import re

MAX_LINE = 998  # RFC 5322 2.1.1, without CRLF; RFC 5321 4.5.3.1.6 does not count the dot that stuffing adds
_UNSTUFF = re.compile(rb"\n\.(?=[^\r\n])")


class Body:
    """Turns raw chunks into chunks for DATA. Any cutting of the same bytes into chunks gives the same output.

    A line as received ends with LF, CR LF or CR CR LF (println("...\\r")); any other CR ends a line too. Only a line
    that follows an LF loses its stuffed dot: who ends lines with a bare CR knows no SMTP and stuffs nothing. A dot
    alone on its line stays: the session found that it did not end the data.
    """

    __slots__ = ("_held", "_line_start", "_rest")

    def __init__(self) -> None:
        self._held = b""  # raw: CRs whose LF may follow, or a dot that may be alone on its line
        self._line_start = True  # the next raw byte starts a line as received
        self._rest = b""  # plain: the unfinished last line, at most MAX_LINE octets

    def feed(self, chunk: bytes) -> bytes:
        """Return the wire form of one raw chunk; hand clean lines through as they are."""
        first = chunk.find(b"\n") + 1
        last = chunk.rfind(b"\n") + 1
        if last - first > MAX_LINE:
            lines = chunk[first:last]
            if _is_clean(lines):
                return self.wire(self.plain(chunk[:first])) + lines + self.wire(self.plain(chunk[last:]))
        return self.wire(self.plain(chunk))

    def finish(self) -> bytes:
        """Return the wire form of what is still held at the end of the data."""
        data = self.wire(self.plain_end())
        if self._rest:
            data += self.wire(b"\n")
        return data

    def plain(self, chunk: bytes) -> bytes:
        """Return raw bytes as text with LF line ends only: no NUL, no CR, dots unstuffed. May end within a line."""
        data = self._held + chunk
        if b"\0" in data:
            data = data.translate(None, b"\0")
        end = len(data)
        if data.endswith(b"\r"):
            end -= 2 if data.endswith(b"\r\r") else 1
        if data[end - 1 : end] == b"." and (data[end - 2 : end - 1] == b"\n" if end > 1 else self._line_start):
            end -= 1
        self._held = data[end:]
        return self._unstuffed(data[:end])

    def plain_end(self) -> bytes:
        """Return what plain() held back, at the end of the data."""
        data, self._held = self._held, b""
        return self._unstuffed(data)

    def _unstuffed(self, data: bytes) -> bytes:
        if not data:
            return b""
        has_cr = b"\r" in data
        if has_cr:
            data = data.replace(b"\r\n", b"\n")
            has_cr = b"\r" in data
            if has_cr:
                data = data.replace(b"\r\n", b"\n")
        starts_line, self._line_start = self._line_start, data.endswith(b"\n")
        if b"\n." in data:
            data = _UNSTUFF.sub(b"\n", data)
        if starts_line and data[0] == 0x2E and data[1:2] not in (b"", b"\r", b"\n"):
            data = data[1:]
        return data.replace(b"\r", b"\n") if has_cr else data

    def wire(self, plain: bytes) -> bytes:
        """Return plain text as lines for DATA: cut to MAX_LINE, dot-stuffed, CRLF. Keep an unfinished last line."""
        if not plain:
            return b""
        data = self._rest + plain
        end = data.rfind(b"\n") + 1
        lines, rest = data[:end], data[end:]
        if _has_long_line(lines, 1):
            lines = b"\n".join([_cut(line) if len(line) > MAX_LINE else line for line in lines.split(b"\n")])
        if len(rest) > MAX_LINE:
            lines, _, rest = (lines + _cut(rest)).rpartition(b"\n")
            lines += b"\n"
        self._rest = rest
        if b"\n." in lines:
            lines = lines.replace(b"\n.", b"\n..")
        if lines.startswith(b"."):
            lines = b"." + lines
        return lines.replace(b"\n", b"\r\n")


def cut_before(line: bytes, at: int, start: int = 0) -> int:
    """Return the place up to three octets before `at` where a cut splits no UTF-8 sequence. Other charsets: `at`."""
    if line[at] & 0xC0 == 0x80:
        for place in range(at - 1, max(at - 4, start), -1):
            if line[place] >= 0xC0:
                return place
            if line[place] < 0x80:
                break
    return at


def _cut(line: bytes) -> bytes:
    pieces = []
    start = 0
    while len(line) - start > MAX_LINE:
        end = cut_before(line, start + MAX_LINE, start)
        pieces.append(line[start:end])
        start = end
    pieces.append(line[start:])
    return b"\n".join(pieces)


def _has_long_line(lines: bytes, line_end: int) -> bool:
    """Return whether one of these whole lines is too long. Jump by nearly MAX_LINE. line_end: octets of a line end."""
    start = 0
    window = MAX_LINE + line_end
    last = len(lines) - window
    while start < last:
        start = lines.rfind(b"\n", start, start + window) + 1
        if not start:
            return True
    return False


def _is_clean(lines: bytes) -> bool:
    """Return whether whole raw lines can go out as they are. Some clean ones may not: 998 octets and a stuffed dot."""
    if b"\0" in lines:
        return False
    count = lines.count(b"\n")
    if lines.count(b"\r") != count or lines.count(b"\r\n") != count:
        return False
    if lines.startswith(b".") and not lines.startswith(b".."):
        return False
    if b"\n." in lines and lines.count(b"\n.") != lines.count(b"\n.."):
        return False
    return not _has_long_line(lines, 2)
