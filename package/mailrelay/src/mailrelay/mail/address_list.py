"""Addresses in header fields (RFC 5322 3.4): read as people and devices write them, written so that nothing breaks out.

Not for the paths of SMTP commands (addresses) and not a validator: it takes what it can make sense of, and drops the
rest. headers and fields call it to complete, rewrite and find the recipients of `sendmail -t`, sendmail for its
options. Every scan is linear in its input.
"""

from __future__ import annotations

import binascii
import re

from mailrelay.core.domains import is_private_domain
from mailrelay.mail.body import cut_before

WORD, QUOTED, COMMENT, ANGLE, SEPARATOR, SPACE = range(6)

_ATOM = rb"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\x80-\xff-]+"
_SPACE = re.compile(rb"\s+")
_WORD = re.compile(rb"[^\s\"()<>,;:\[\]]+")
_LITERAL = re.compile(rb"\[[^\[\]<>\s]*\]")
_QUOTED = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_ANGLE = re.compile(rb'<[^<>"]*(?:"[^"\\]*(?:\\.[^"\\]*)*"[^<>"]*)*>', re.DOTALL)
_PARENTHESIS = re.compile(rb"[()]|\\.", re.DOTALL)
_STARTS = {b'"': (QUOTED, _QUOTED), b"(": (COMMENT, _PARENTHESIS), b"<": (ANGLE, _ANGLE), b"[": (WORD, _LITERAL)}
_STARTS |= {bytes([char]): (SEPARATOR, re.compile(b"[,;:]")) for char in b",;:"}
_STARTS |= {bytes([char]): (SPACE, _SPACE) for char in b" \t\n\r\v\f"}
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_AROUND_SIGN = re.compile(rb" ?([@.]) ?")
_QUOTED_ADDRESS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"@[^\s"]+', re.DOTALL)
_SIMPLE = re.compile(rb"(?:([A-Za-z0-9][A-Za-z0-9 _.-]*)<)?([A-Za-z0-9._+-]+@[A-Za-z0-9.-]+)>?")
_ROUTE = re.compile(rb"[^:]*:")
_PLAIN_NAME = re.compile(rb"[^()<>@,;:\\\[\].\x00-\x1f\x7f\"]*")
_DOT_ATOM = re.compile(_ATOM + rb"(?:\." + _ATOM + rb")*")
_DOMAIN_NAME = re.compile(rb"[A-Za-z0-9_\x80-\xff-]+(?:\.[A-Za-z0-9_\x80-\xff-]+)*")
_DOMAIN_LITERAL = re.compile(rb"\[[A-Za-z0-9.:-]+\]")
_NOT_DOMAIN = re.compile(rb"[^A-Za-z0-9._\x80-\xff-]")
CONTROL = bytes(range(32)) + b"\x7f"
_CONTROL_8BIT = bytes(range(0x80, 0xA0))
_NOT_WINDOWS = b"\x81\x8d\x8f\x90\x9d"


def tokens(value: bytes) -> list[tuple[int, bytes]]:
    """Cut an address list into (kind, bytes), comments and white space too. Skip stray brackets and quotes."""
    pieces: list[tuple[int, bytes]] = []
    position = 0
    quotes = comments = True  # false once one never ends: to look for its end at each opening takes quadratic time
    while position < len(value):
        kind, pattern = _STARTS.get(value[position : position + 1], (WORD, _WORD))
        end = -1
        if kind == COMMENT:
            end = _comment_end(value, position) if comments else -1
            comments = end > 0
        elif kind != QUOTED or quotes:
            match = pattern.match(value, position)
            end = match.end() if match else -1
            quotes = quotes and (kind != QUOTED or match is not None)
        if end > 0:
            pieces.append((kind, value[position:end]))
            position = end
        else:
            position += 1
    return pieces


def _comment_end(value: bytes, start: int) -> int:
    depth = 0
    for match in _PARENTHESIS.finditer(value, start):
        if match[0] == b"(":
            depth += 1
        elif match[0] == b")":
            depth -= 1
            if not depth:
                return match.end()
    return -1


def parse(value: bytes) -> list[tuple[bytes, bytes]]:
    """Return (display name as written, address) of each mailbox, groups flattened. What is missing is empty."""
    simple = _SIMPLE.fullmatch(value.strip())
    if simple:
        return [((simple[1] or b"").rstrip(), simple[2])]
    mailboxes: list[tuple[bytes, bytes]] = []
    element: list[tuple[int, bytes]] = []
    for kind, text in [*tokens(value), (SEPARATOR, b",")]:
        if kind != SEPARATOR:
            element.append((kind, text))
            continue
        if text != b":":  # a colon ends a group's name (or a "mailto"), which is no mailbox
            mailboxes += _parse_element(element)
        element = []
    return mailboxes


def _parse_element(element: list[tuple[int, bytes]]) -> list[tuple[bytes, bytes]]:
    angles = [text[1:-1] for kind, text in element if kind == ANGLE]
    if angles:
        name = b"".join([text for kind, text in element if kind in (WORD, QUOTED, SPACE)]).strip()
        return [(name, address) for address in map(_bare, angles) if address or name]
    text = b"".join([b" " if kind in (SPACE, COMMENT) else text for kind, text in element]).strip()
    if not text:
        return []
    joined = _AROUND_SIGN.sub(rb"\1", b" ".join(text.split(b" ")))  # "user @ host" was legal once
    if _QUOTED_ADDRESS.fullmatch(joined) or not (b" " in joined or b'"' in joined):
        return [(b"", joined.translate(None, CONTROL))]
    written = [word.translate(None, CONTROL) for word in text.split() if b"@" in word.strip(b"@")]
    if written:  # brackets or commas forgotten: every word that can be an address is one
        return [(b"", address) for address in written]
    return [(text, b"")]


def _bare(address: bytes) -> bytes:
    """Return what stands in angle brackets, without comments, white space, control characters and a source route."""
    parts = [text for kind, text in tokens(address) if kind not in (COMMENT, SPACE, ANGLE)]
    joined = b"".join(parts).translate(None, CONTROL)
    if joined.startswith(b"@"):
        joined = _ROUTE.sub(b"", joined, count=1).lstrip(b"@")
    return joined.strip(b",;:")


def addresses(value: bytes) -> list[bytes]:
    """Return all addresses in a field's value; "root" is one, a display name of several words is not."""
    return [address for _, address in parse(value) if address.strip(b"@.")]


def address_of(value: bytes) -> bytes:
    """Return the first address in a field's value, without display name and comments; empty if there is none."""
    return next(iter(addresses(value)), b"")


def is_address(address: bytes) -> bool:
    """Return whether this is one whole address of which the domain is a name with a dot in it."""
    local, _, domain = address.rpartition(b"@")
    if not local or b" " in address or not _DOMAIN_NAME.fullmatch(domain):
        return False
    return not domain.rpartition(b".")[2].isdigit() and b"." in domain


def is_public(address: bytes) -> bool:
    """Return whether an answer could reach the address from the internet."""
    return is_address(address) and not is_private_domain(address.rpartition(b"@")[2])


def addr_spec(address: bytes, hostname: bytes) -> bytes:
    """Make an envelope address safe for a header: the local part quoted if need be ("ilo."@host), `hostname` as the
    domain if there is none, and nothing in it that could end the address, the field or the line."""
    local, at, domain = address.translate(None, CONTROL).rpartition(b"@")
    if not at:
        local, domain = domain, b""
    if not _DOT_ATOM.fullmatch(local) and not _QUOTED.fullmatch(local):
        local = b'"' + local.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
    if not _DOMAIN_LITERAL.fullmatch(domain):
        domain = _NOT_DOMAIN.sub(b"", domain).strip(b".") or hostname
    return local + b"@" + domain


def named(name: bytes, address: bytes) -> bytes:
    return name + b" <" + address + b">" if name else address


def display_name(value: bytes) -> bytes:
    """Return the first display name of an address field as it may stand before an angle address; empty if none is."""
    name = next(iter(parse(value)), (b"", b""))[0]
    if not name:  # the old form: pump@plant.example (Pump 3)
        name = next((text[1:-1] for kind, text in tokens(value) if kind == COMMENT), b"")
    return phrase(name)


def phrase(name: bytes) -> bytes:
    """Make text an RFC 5322 phrase: as it is where that is one, else one quoted string."""
    name = b" ".join(name.split()).translate(None, CONTROL)
    if _PLAIN_NAME.fullmatch(name) or _QUOTED.fullmatch(name):
        return name
    text = _ESCAPE.sub(rb"\1", name).replace(b'"', b"")
    return b'"' + text.replace(b"\\", b"\\\\") + b'"'


def encoded_words(text: bytes) -> bytes:
    """Return RFC 2047 encoded words, folded, for text with 8-bit octets."""
    charset = charset_of(text)
    words = []
    start = 0
    while start < len(text):
        end = min(start + 39, len(text))  # words of at most 69 octets; RFC 2047 allows 75 and lines of 76
        if charset == b"utf-8" and end < len(text):
            end = cut_before(text, end, start)
        words.append(b"=?" + charset + b"?b?" + binascii.b2a_base64(text[start:end], newline=False) + b"?=")
        start = end
    return b"\n ".join(words)


def encoded_addresses(value: bytes) -> bytes:
    """Make encoded words of the 8-bit octets in an address list's names and comments, and of 8-bit addresses empty
    groups of that name (RFC 6854, RFC 6857 3.1.2): whom no address can be said of is named at least."""
    out = []
    name: list[tuple[int, bytes]] = []
    for kind, text in [*tokens(value), (SEPARATOR, b"")]:
        if kind in (WORD, QUOTED, SPACE):
            name.append((kind, text))
            continue
        if kind == ANGLE and not text.isascii():
            out.append(_empty_group(b"".join([part for _, part in name]) + text[1:-1]))
            text = b""
        else:
            out.append(_encoded_name(name, kind == ANGLE))
        name = []
        if kind == COMMENT and not text.isascii():
            out.append(b"(" + encoded_words(_ESCAPE.sub(rb"\1", text[1:-1]).replace(b"\n", b"")) + b")")
        else:
            out.append(text)
    return b"".join(out)


def _encoded_name(name: list[tuple[int, bytes]], before_angle: bool) -> bytes:
    written = b"".join([text for _, text in name])
    if written.isascii():
        return written
    if b"@" in written and not before_angle:
        return _encoded_address(name, written)
    text = b"".join([_ESCAPE.sub(rb"\1", text[1:-1]) if kind == QUOTED else text for kind, text in name])
    before = b" " if written[:1].isspace() else b""
    after = b" " if before_angle or written[-1:].isspace() else b""
    return before + encoded_words(b" ".join(text.split())) + after


def _encoded_address(name: list[tuple[int, bytes]], written: bytes) -> bytes:
    """Encode an address without brackets that has 8-bit octets in it or beside it."""
    found = [address for _, address in _parse_element(name) if address.isascii() and _SIMPLE.fullmatch(address)]
    if not found:
        return _empty_group(written)
    words = set(found)
    rest = b" ".join([word for word in written.split() if word not in words])
    return b" " + b", ".join([encoded_words(rest) + b" <" + found[0] + b">", *found[1:]])


def _empty_group(name: bytes) -> bytes:
    return b" " + encoded_words(b" ".join(name.split())) + b":;"


def charset_of(text: bytes) -> bytes:
    """Return what to label text with that has 8-bit octets and no label: UTF-8 if it is that, else what Windows writes.

    Octets that are control characters in ISO 8859-1 are letters in Windows-1252, but for five, which it has not at all.
    """
    if is_utf8(text):
        return b"utf-8"
    has_letters = len(text.translate(None, _CONTROL_8BIT)) < len(text) == len(text.translate(None, _NOT_WINDOWS))
    return b"windows-1252" if has_letters else b"iso-8859-1"


def is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
