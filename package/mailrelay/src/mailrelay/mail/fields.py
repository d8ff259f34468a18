"""The fields of a header section: found in raw text, and written so that each line fits.

Says nothing of which fields a message needs: that is headers, the only caller. Every scan is linear in its input.
"""

from __future__ import annotations

import re

from mailrelay.mail.address_list import charset_of, encoded_addresses, encoded_words, is_utf8
from mailrelay.mail.body import MAX_LINE, cut_before

MAX_HEAD = 65536  # octets looked at to find the header section, and to guess an unlabelled body's charset

Field = tuple[bytes, bytes, bytes]  # lower-case name, name as written, value with its folds as LF + white space

# A name starts with a letter and "//" does not follow the colon: "12:30 pump on" and "http://..." are text;
# so is what no line can hold.
_FIELD = re.compile(rb"([A-Za-z][!-9;-~]{0,199})[ \t]*:(?!//)([^\n]*(?:(?:\n[ \t]+)*\n[ \t]+[^ \t\n][^\n]*)*)\n")
_PARAMETER = re.compile(
    rb"(;\s*[A-Za-z0-9-]+)\s*=\s*(?:\"([^\"\x80-\xff]*[\x80-\xff][^\"]*)\"|([^\s;\"\x80-\xff]*[\x80-\xff][^\s;\"]*))"
)
_PLAIN_OCTETS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._")
QUESTION_MARKS = bytes(range(128)) + b"?" * 128  # for translate(): what 8-bit octets become that mean nothing
_WHITE_LINE = re.compile(rb"[ \t]+\n")

# What marks the end of a header section that no body follows. A field in none of these may be the mail's text.
_KNOWN_PREFIXES = (b"x-", b"resent-", b"list-", b"content-", b"arc-", b"dkim-", b"ms-", b"original-", b"delivered-")
_KNOWN = frozenset(
    b"date from sender reply-to to cc bcc message-id in-reply-to references subject comments keywords received "
    b"return-path mime-version importance priority precedence sensitivity organization organisation user-agent mailer "
    b"auto-submitted autocrypt disposition-notification-to return-receipt-to errors-to apparently-to mail-followup-to "
    b"mail-reply-to newsgroups followup-to lines status encoding language accept-language thread-topic thread-index "
    b"archived-at authentication-results received-spf feedback-id domainkey-signature require-recipient-valid-since "
    b"tls-required deferred-delivery expires expiry-date supersedes message-context envelope-to envelope-from "
    b"illegal-object bimi-selector".split()
)
_ADDRESS_FIELDS = frozenset(
    b"from sender reply-to to cc resent-from resent-sender resent-to resent-cc resent-reply-to errors-to "
    b"disposition-notification-to return-receipt-to mail-followup-to mail-reply-to x-original-from "
    b"x-original-reply-to".split()
)
# Structured otherwise: an encoded word would break them.
_STRUCTURED = frozenset(
    b"date received message-id in-reply-to references resent-date resent-message-id mime-version content-type "
    b"content-transfer-encoding content-disposition content-id content-location dkim-signature domainkey-signature "
    b"arc-seal arc-message-signature arc-authentication-results authentication-results received-spf autocrypt "
    b"list-id list-unsubscribe list-unsubscribe-post list-post list-help list-archive list-owner archived-at".split()
)


def has_body(head: bytes) -> bool:
    """Return whether a blank line with text after it is there: more data cannot move the header section's end."""
    blank = head.find(b"\n\n", 0, MAX_HEAD)
    return blank >= 0 and not head[blank:MAX_HEAD].isspace()


def split(head: bytes) -> tuple[list[Field], int]:
    """Return the header fields at the start of plain text, and where the body starts."""
    fields: list[Field] = []
    position = 0
    if head.startswith((b"From ", b">From ")):  # an mbox file's separator
        position = head.find(b"\n") + 1 or len(head)
    while True:
        match = _FIELD.match(head, position)
        if match:
            name, value = match.groups()
            fields.append((name.lower(), name, value))
            position = match.end()
            continue
        if head.startswith(b"\n", position):
            return fields, position + 1
        white = _WHITE_LINE.match(head, position)
        if not white:
            return fields, position
        position = white.end()
        # A line of white space is the blank line that println(" ") makes, unless the header section evidently goes on.
        match = _FIELD.match(head, position)
        if not (match and _is_known(match[1].lower())) and not head.startswith(b"\n", position):
            return fields, position


def _is_known(key: bytes) -> bool:
    return key in _KNOWN or key.startswith(_KNOWN_PREFIXES)


def without_text(fields: list[Field]) -> tuple[list[Field], bytes]:
    """Take unknown fields after the last known one for the text, where no body came."""
    count = len(fields)
    while count and not _is_known(fields[count - 1][0]):
        count -= 1
    return fields[:count], b"".join([name + b":" + value + b"\n" for _, name, value in fields[count:]])


def field_line(key: bytes, name: bytes, value: bytes, smtputf8: bool) -> bytes:
    """Write a field as it goes out: 8-bit text encoded unless it goes by SMTPUTF8, long lines folded."""
    if not value.isascii() and not (smtputf8 and is_utf8(value)):
        if key in _ADDRESS_FIELDS:
            value = encoded_addresses(value)
        elif key in (b"content-type", b"content-disposition"):
            value = _PARAMETER.sub(_encoded_parameter, value).translate(QUESTION_MARKS)
        elif key in _STRUCTURED:
            value = value.translate(QUESTION_MARKS)
        else:
            value = b" " + encoded_words(value.replace(b"\n", b"").strip())
    line = name + b":" + value
    if b"\n" in line:
        lines = [part for part in line.split(b"\n") if not part.isspace()]
        return b"\n".join([_folded(part) for part in lines])
    return _folded(line) if len(line) > MAX_LINE else line


def _encoded_parameter(match: re.Match[bytes]) -> bytes:
    """Write a parameter with 8-bit octets, such as a file's name, as RFC 2231 has it."""
    name, text = match[1], match[2] or match[3]
    octets = b"".join([b"%c" % octet if octet in _PLAIN_OCTETS else b"%%%02X" % octet for octet in text])
    return name + b"*=" + charset_of(text) + b"''" + octets


def _folded(line: bytes) -> bytes:
    """Cut a header line into pieces of at most MAX_LINE octets: before white space, else anywhere, a space put in."""
    pieces: list[bytes] = []
    while len(line) > MAX_LINE:
        colon = line.find(b":") + 1 if not pieces else 0
        first = len(line) - len(line[colon:].lstrip(b" \t"))
        end = max(line.rfind(b" ", first, MAX_LINE + 1), line.rfind(b"\t", first, MAX_LINE + 1))
        if end > 0:
            pieces.append(line[:end])
            line = line[end:]
        else:
            end = cut_before(line, MAX_LINE)
            pieces.append(line[:end])
            line = b" " + line[end:]
    return b"\n".join([piece for piece in [*pieces, line] if not piece.isspace()])
