"""The subject of a message as a person reads it, for lists; what is sent is never made of it.

`queue_view` calls it with the message's first octets. Every scan is linear in its input.
"""

from __future__ import annotations

import binascii
import re

from mailrelay.mail import fields

_WORD = re.compile(rb"=\?([A-Za-z0-9._:-]{1,40})(?:\*[A-Za-z0-9-]*)?\?([BbQq])\?([^?\s]*)\?=")
_BETWEEN = re.compile(rb"(?<=\?=)\s+(?==\?)")  # RFC 2047 6.2: white space between two encoded words is no text
_INVISIBLE = re.compile("[\0-\x20\x7f-\xa0\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]+")


def subject(head: bytes, longest: int) -> str:
    """Return the first Subject of the header section in `head`, plain text with LF line ends that may be cut off.

    Encoded words (RFC 2047) are decoded, control and invisible characters are spaces; at most `longest` characters.
    """
    found = next((value for name, _, value in fields.split(head + b"\n")[0] if name == b"subject"), b"")
    pieces = [("", b"")]  # character set and octets; a character may be cut between two words of one set
    at = 0
    value = _BETWEEN.sub(b"", found)
    for match in _WORD.finditer(value):
        pieces.append(("", value[at : match.start()]))
        charset, octets = match[1].decode("ascii").lower(), _octets(match)
        if charset == pieces[-2][0] and not pieces[-1][1]:
            pieces[-2:] = [(charset, pieces[-2][1] + octets)]
        else:
            pieces.append((charset, octets))
        at = match.end()
    text = "".join([_decoded(octets, charset or "utf-8") for charset, octets in [*pieces, ("", value[at:])]])
    return _INVISIBLE.sub(" ", text).strip()[:longest]


def _octets(match: re.Match[bytes]) -> bytes:
    try:
        if match[2] in b"Bb":
            return binascii.a2b_base64(match[3] + b"==")
        return binascii.a2b_qp(match[3], header=True)
    except binascii.Error:
        return match[3]


def _decoded(octets: bytes, charset: str) -> str:
    """Decode; what is not of that character set, or of one that this Python lacks, is taken for ISO 8859-1."""
    try:
        return octets.decode(charset)
    except (LookupError, ValueError):
        return octets.decode("iso-8859-1")
