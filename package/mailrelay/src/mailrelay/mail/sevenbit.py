"""A body with 8-bit octets for a server that takes none: each part of it as quoted-printable or base64 (RFC 2045 6).

The structure of a message stays: its lines are handed through but for the parts' Content-Transfer-Encoding and what
that says. headers.complete() is the only caller; it leaves out what is signed. Memory: one chunk, one part's header and
a piece of a line. Every scan is linear in its input.
"""

from __future__ import annotations

import binascii
import re

from mailrelay.mail.fields import MAX_HEAD, QUESTION_MARKS, field_line, split

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_TYPE = re.compile(rb"\s*([A-Za-z]+)/([A-Za-z0-9.+-]+)")
_BOUNDARY = re.compile(rb";\s*boundary\s*=\s*(?:\"([^\"]{1,200})\"|([^\s;\"]{1,200}))", re.IGNORECASE)
_IDENTITY = frozenset([b"", b"7bit", b"8bit", b"binary", b"7-bit", b"8-bit"])
_8BIT = re.compile(rb"[\x80-\xff]")
_PIECE = 4096  # octets of a line that are held until its end comes
_MAX_DEPTH = 20  # multiparts within multiparts
_BASE64_LINE = 57  # octets that make 76 characters


def is_signed(content_type: bytes) -> bool:
    """Return whether a signature covers how the body is encoded (RFC 1847 2.1, RFC 8551 3.1.2)."""
    return _type(content_type) in ((b"multipart", b"signed"), (b"application", b"pkcs7-mime"))


def _type(content_type: bytes) -> tuple[bytes, bytes]:
    match = _TYPE.match(content_type)
    return (match[1].lower(), match[2].lower()) if match else (b"text", b"plain")


class SevenBit:
    """Takes plain text with LF line ends, in any cutting, and returns such. `encoding` is what the header must say."""

    __slots__ = (
        "_boundaries", "_encode", "_head", "_head_size", "_held", "_line_start", "_newline", "_octets",
        "encoding",
    )  # fmt: skip

    def __init__(self, content_type: bytes, encoding: bytes) -> None:
        """content_type, encoding: the values of the message's fields; empty if it has none."""
        self._boundaries: list[bytes] = []  # the delimiter lines of the multiparts that we are in
        self._head: list[bytes] | None = None  # the lines of a part's header, while we are in it
        self._head_size = 0
        self._held = b""  # the piece of a line that more is needed for
        self._line_start = True
        self._newline = b""  # base64: a line end that belongs to the delimiter if one follows
        self._octets = b""  # base64: what makes no whole line yet
        self._encode: Callable[[bytes], bytes] = self._question_marks
        self.encoding = self._enter(content_type, encoding)

    def feed(self, text: bytes) -> bytes:
        data = self._held + text
        out: list[bytes] = []
        at = 0
        while at < len(data):
            end = self._end_of_piece(data, at)
            if not end:
                break
            out.append(self._take(data[at:end]))
            at = end
        self._held = data[at:]
        return b"".join(out)

    def finish(self) -> bytes:
        """Return what is still due, with the line end that the last line lacks."""
        last, self._held = self._held, b""
        if last or not self._line_start:
            last += b"\n"
        out = self._take(last) if last else b""
        if self._head is not None:
            out += self._end_head()
        return out + self._end_part(self._newline)

    def _end_of_piece(self, data: bytes, at: int) -> int:
        """Return where the next piece ends: a line of a header or one that may be a delimiter, else all up to such a
        line. 0: wait for more."""
        single = self._head is not None or (self._line_start and self._may_delimit(data[at : at + 2]))
        end = data.find(b"\n", at) + 1 if single else 0
        if not single:
            end = data.find(b"\n--", at) + 1 if self._boundaries else 0
            end = end or data.rfind(b"\n", at) + 1
        if end <= at:
            end = len(data) if len(data) - at >= _PIECE else 0
        return end

    def _may_delimit(self, start: bytes) -> bool:
        return bool(self._boundaries) and b"--".startswith(start)

    def _take(self, piece: bytes) -> bytes:
        """Return a piece as it goes out: one line, or text that no delimiter is in."""
        starts_line, self._line_start = self._line_start, piece.endswith(b"\n")
        if starts_line and self._boundaries and piece.startswith(b"--"):
            line = piece.rstrip(b" \t\n")
            for depth in range(len(self._boundaries), 0, -1):
                delimiter = self._boundaries[depth - 1]
                if line in (delimiter, delimiter + b"--"):
                    out = self._end_head() if self._head is not None else b""
                    out += self._end_part(b"")
                    closed = line != delimiter
                    del self._boundaries[depth - closed :]
                    self._encode = self._question_marks
                    self._head = None if closed else []
                    return out + piece
        if self._head is None:
            return self._encode(piece)
        self._head.append(piece)
        self._head_size += len(piece)
        return self._end_head() if piece == b"\n" or self._head_size > MAX_HEAD else b""

    def _end_head(self) -> bytes:
        """Return a part's header with the encoding that the part will have."""
        head, self._head, self._head_size = b"".join(self._head or ()), None, 0
        fields, start = split(head)
        values = {key: value for key, _, value in reversed(fields)}
        encoding = self._enter(values.get(b"content-type", b""), values.get(b"content-transfer-encoding", b""))
        lines = [
            field_line(key, name, b" " + encoding if encoding and key == b"content-transfer-encoding" else value, False)
            for key, name, value in fields
        ]
        if encoding and b"content-transfer-encoding" not in values:
            lines.append(b"Content-Transfer-Encoding: " + encoding)
        text = head[start:]
        return b"\n".join([*lines, b"\n"]) + (self._encode(text) if text else b"")

    def _enter(self, content_type: bytes, encoding: bytes) -> bytes:
        """Begin the body of a message or a part; return the encoding that it will have, empty where that stays."""
        kind, subtype = _type(content_type)
        encoding = encoding.partition(b"(")[0].strip(b' \t\n;"').lower()
        if encoding not in _IDENTITY:
            self._encode = self._quote_8bit if encoding == b"quoted-printable" else self._drop_8bit
            return b""
        label = b"" if encoding in (b"", b"7bit") else b"7bit"
        if kind == b"multipart" and not is_signed(content_type):
            boundary = _BOUNDARY.search(content_type.replace(b"\n", b""))
            if boundary and len(self._boundaries) < _MAX_DEPTH:
                self._boundaries.append(b"--" + (boundary[1] or boundary[2]))
            self._encode = self._question_marks
            return label
        if kind == b"message":
            self._encode = self._question_marks
            if subtype == b"rfc822":
                self._head = []
            return label
        if is_signed(content_type):
            self._encode = bytes
            return b""
        if kind == b"text":
            self._encode = self._quoted_printable
            return b"quoted-printable"
        self._encode = self._base64
        return b"base64"

    # What becomes of text.

    def _question_marks(self, text: bytes) -> bytes:
        """What stands before and behind the parts, and what may not be encoded (RFC 2046 5.2), is ASCII."""
        return text.translate(QUESTION_MARKS)

    def _quote_8bit(self, text: bytes) -> bytes:
        """Mend what says that it is quoted-printable and is not."""
        return _8BIT.sub(lambda octet: b"=%02X" % octet[0][0], text)

    def _drop_8bit(self, text: bytes) -> bytes:
        """Base64 ignores these (RFC 2045 6.8)."""
        return _8BIT.sub(b"", text)

    def _quoted_printable(self, text: bytes) -> bytes:
        quoted = binascii.b2a_qp(text, istext=True)
        return quoted if text.endswith(b"\n") else quoted + b"=\n"

    def _base64(self, text: bytes) -> bytes:
        text = self._newline + text
        self._newline = b"\n" if text.endswith(b"\n") else b""
        self._octets += (text[:-1] if self._newline else text).replace(b"\n", b"\r\n")
        whole = len(self._octets) // _BASE64_LINE * _BASE64_LINE
        lines = [binascii.b2a_base64(self._octets[i : i + _BASE64_LINE]) for i in range(0, whole, _BASE64_LINE)]
        self._octets = self._octets[whole:]
        return b"".join(lines)

    def _end_part(self, line_end: bytes) -> bytes:
        """Return the end of a part. line_end: what is part of it after all."""
        octets = self._octets + line_end.replace(b"\n", b"\r\n")
        self._octets = self._newline = b""
        return b"".join(
            [binascii.b2a_base64(octets[i : i + _BASE64_LINE]) for i in range(0, len(octets), _BASE64_LINE)]
        )
