"""Completes and rewrites a message's header section at byte level, at delivery, and hands the body through.

A message is never parsed and re-serialised: fields that need nothing keep their bytes. The courier calls complete() for
each delivery, sendmail calls recipients_from_headers() for `-t`. No I/O, no clock.
"""

from __future__ import annotations

import re

from mailrelay.mail import dates
from mailrelay.mail.address_list import CONTROL, addr_spec, addresses, charset_of
from mailrelay.mail.body import Body, cut_before
from mailrelay.mail.fields import MAX_HEAD, field_line, has_body, split, without_text
from mailrelay.mail.rewriting import recipient_field, replace_date, replace_local_names, set_from
from mailrelay.mail.sevenbit import SevenBit, is_signed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mailrelay.mail.fields import Field

_MESSAGE_ID = re.compile(rb"\s*<[^<>\s]+>")
_BARE_ID = re.compile(rb"[^<>@\s]+@[^<>@\s]+")

# May stand once (RFC 5322 3.6, RFC 2045); Gmail refuses mail with two. The first that says something is kept.
_SINGLE = frozenset(
    b"date from sender reply-to to cc message-id in-reply-to references subject mime-version content-type "
    b"content-transfer-encoding".split()
)
_MERGED = frozenset([b"to", b"cc", b"reply-to"])
# Bcc is nobody's business, the final host writes Return-Path, and Content-Length is wrong once a line changes.
_BCC = frozenset([b"bcc", b"resent-bcc"])
_DROPPED = _BCC | {b"return-path", b"content-length"}
_MIME = frozenset([b"content-type", b"content-transfer-encoding"])

_NOT_HELO = re.compile(rb"[^A-Za-z0-9._:@\[\]-]+")
_NOT_HOST = re.compile(rb"[^A-Za-z0-9.-]+")
_NOT_TOKEN = re.compile(rb"[^A-Za-z0-9.:-]+")


class MessageInfo:
    """What the relay knows about a message and the message may not say itself."""

    __slots__ = (
        "client", "date", "helo", "hostname", "latest", "original_sender", "protocol", "queue_id", "recipients",
        "sender", "smtputf8",
    )  # fmt: skip

    def __init__(
        self,
        queue_id: str,
        hostname: str,
        sender: bytes,  # the envelope's, as it goes to the smarthost; empty for the null sender
        original_sender: bytes,  # as the client gave it
        recipients: Sequence[bytes],
        client: str,  # IP address; empty for mail made on this machine
        helo: bytes,
        date: float,  # seconds since the epoch
        smtputf8: bool = False,  # it goes out by this extension, so that 8-bit headers may stay
        protocol: str = "ESMTP",  # by which it came in (RFC 3848, RFC 6531)
        latest: float = float("inf"),  # what its own Date may say at most
    ) -> None:
        self.queue_id = queue_id
        self.hostname = hostname
        self.sender = sender
        self.original_sender = original_sender
        self.recipients = recipients
        self.client = client
        self.helo = helo
        self.date = date
        self.smtputf8 = smtputf8
        self.protocol = protocol
        self.latest = latest


def complete(
    info: MessageInfo, chunks: Iterable[bytes], rewrite: bytes = b"", *, sevenbit: bool = False
) -> Iterator[bytes]:
    """Yield the message for DATA: from raw chunks as received (dot-stuffed, no end mark) to clean, stuffed CRLF lines.

    rewrite: the only address that may stand in From; empty for any. sevenbit: the body may have no 8-bit octets, unless
    it is signed.
    A message of up to MAX_HEAD octets comes as one chunk. The result does not depend on how the input is cut, ends with
    CRLF, and lacks only the final dot.
    """
    body = Body()
    source = iter(chunks)
    ended = False
    head = b""

    def pull() -> bool:
        nonlocal head, ended
        for chunk in source:
            head += body.plain(chunk)
            return True
        head += body.plain_end()
        if head and not head.endswith(b"\n"):
            head += b"\n"
        ended = True
        return False

    while len(head) < MAX_HEAD and not has_body(head) and pull():
        pass
    fields, start = split(head[:MAX_HEAD])
    if ended and not head[start:].strip():
        fields, text = without_text(fields)
        if text:
            head, start = text, 0
    charset = b""
    unlabelled = _MIME.isdisjoint({key for key, _, _ in fields})
    while (unlabelled or sevenbit) and not ended and len(head) < MAX_HEAD and pull():
        pass
    if unlabelled:
        charset = _charset(head[start:MAX_HEAD], ended and len(head) <= MAX_HEAD)
    text, head = head[start:], b""
    recoder = _recoder(fields) if sevenbit and not (ended and text.isascii()) else None
    out = _completed(fields, info, rewrite, charset, recoder.encoding if recoder else b"").replace(b"\n", b"\r\n")
    out += body.wire(recoder.feed(text) if recoder else text)
    text = b""
    if not ended:
        yield out
        out = b""
        if recoder:
            yield from filter(None, (body.wire(recoder.feed(body.plain(chunk))) for chunk in source))
        else:
            yield from filter(None, map(body.feed, source))
    if recoder:
        out += body.wire(recoder.feed(body.plain_end()) + recoder.finish())
    out += body.finish()
    if out:
        yield out


def _recoder(fields: list[Field]) -> SevenBit | None:
    """Return what takes the 8-bit octets out of the body; None if a signature covers them."""
    values = {key: value for key, _, value in reversed(fields) if value.strip()}
    content_type = values.get(b"content-type", b"")
    if b"dkim-signature" in values or is_signed(content_type):
        return None
    return SevenBit(content_type, values.get(b"content-transfer-encoding", b""))


def recipients_from_headers(raw: bytes) -> list[bytes]:
    """Return the addresses in To, Cc and Bcc, or in their Resent- forms if there are any, each once, in order.

    `raw` is a header section or a whole message, with any line ends, not dot-stuffed. ValueError: one of these fields
    has a control character in it.
    """
    fields, _ = split(raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n") + b"\n")
    for names in ((b"resent-to", b"resent-cc", b"resent-bcc"), (b"to", b"cc", b"bcc")):
        values = [value for key, _, value in fields if key in names]
        written = b"".join(values).translate(None, b"\t\n")  # folded over lines, maybe
        if written.translate(None, CONTROL) != written:
            raise ValueError("has a control character in it")
        recipients = [address for value in values for address in addresses(value)]
        if recipients:
            return list(dict.fromkeys(recipients))
    return []


def _charset(text: bytes, whole: bool) -> bytes:
    """Return what to label an unlabelled body with; empty if it is known to be ASCII.

    Of a longer body only the start is known. ASCII is UTF-8 too: that label is right unless the start says otherwise.
    """
    if text.isascii():
        return b"" if whole else b"utf-8"
    if not whole:  # the last sequence may go on beyond the part that is looked at
        text = text[: cut_before(text + b"\x80", len(text))]
    return charset_of(text)


def _completed(fields: list[Field], info: MessageInfo, rewrite: bytes, charset: bytes, encoding: bytes) -> bytes:
    """Return the header section with LF line ends, the blank line included.

    charset: of a body without a label. encoding: the new Content-Transfer-Encoding; empty where it stays.
    """
    hostname = _NOT_HOST.sub(b"", info.hostname.encode("ascii", "ignore")) or b"mailrelay.invalid"
    date = dates.written(info.date)
    hidden = any(key in _BCC for key, _, _ in fields)
    kept = _singled(fields)
    if not any(key == b"dkim-signature" for key, _, _ in kept):
        replace_date(kept, info, date)
        replace_local_names(kept, info, recipient_field(info, hidden, hostname))
    set_from(kept, info, rewrite, hostname)
    have = {key: value for key, _, value in kept}
    added: list[tuple[bytes, bytes]] = []
    if b"date" not in have:
        added.append((b"Date", date))
    if b"to" not in have and b"cc" not in have:
        added.append((b"To", recipient_field(info, hidden, hostname)))
    if b"message-id" not in have:
        added.append((b"Message-ID", _message_id(info, hostname)))
    mime = not _MIME.isdisjoint(have)
    if (mime or charset) and b"mime-version" not in have:
        added.append((b"MIME-Version", b"1.0"))
    if charset and not mime:
        added.append((b"Content-Type", b"text/plain; charset=" + charset))
    if encoding and b"content-transfer-encoding" in have:
        kept = [(k, n, b" " + encoding if k == b"content-transfer-encoding" else v) for k, n, v in kept]
    elif encoding or (charset and not mime):
        added.append((b"Content-Transfer-Encoding", encoding or b"8bit"))
    lines = [_received(info, hostname, date)]
    for key, name, value in kept:
        plain = value.isascii() and len(value) < 900 and b"\n" not in value
        lines.append(name + b":" + value if plain else field_line(key, name, value, info.smtputf8))
    lines += [field_line(name.lower(), name, b" " + value, info.smtputf8) for name, value in added]
    lines.append(b"\n")
    return b"\n".join(lines)


def _singled(fields: list[Field]) -> list[Field]:
    """Return the fields without those that must not leave, without empty single ones, and each single one once."""
    kept: list[Field] = []
    places: dict[bytes, int] = {}
    for field in fields:
        key, name, value = field
        if key in _DROPPED:
            continue
        if key in _SINGLE:
            if key == b"message-id":
                value = _valid_id(value)
                field = (key, name, value)
            if not value or value.isspace():
                continue
            place = places.setdefault(key, len(kept))
            if place < len(kept):
                if key in _MERGED:
                    value = kept[place][2].rstrip(b", \t\n") + b",\n " + value.lstrip()
                    kept[place] = (key, kept[place][1], value)
                continue
        kept.append(field)
    return kept


def _valid_id(value: bytes) -> bytes:
    """Return a Message-ID value as it may leave: Gmail refuses one without brackets. Empty where a new one is due."""
    if _MESSAGE_ID.match(value):
        return value
    text = value.strip()
    return b" <" + text + b">" if _BARE_ID.fullmatch(text) else b""


def _message_id(info: MessageInfo, hostname: bytes) -> bytes:
    return b"<" + _NOT_TOKEN.sub(b"", info.queue_id.encode("ascii", "ignore")) + b"@" + hostname + b">"


def _received(info: MessageInfo, hostname: bytes, date: bytes) -> bytes:
    """Return the Received field (RFC 5321 4.4). HELO is a stranger's word: no line, comment or clause ends in it."""
    client = _NOT_TOKEN.sub(b"", info.client.partition("%")[0].encode("ascii", "ignore"))
    helo = _NOT_HELO.sub(b"?", info.helo)[:255]
    literal = b"[IPv6:" + client + b"]" if b":" in client else b"[" + client + b"]"
    source = (helo + b" (" + literal + b")" if helo else literal) if client else b"localhost"
    protocol = info.protocol.encode()
    queue_id = _NOT_TOKEN.sub(b"", info.queue_id.encode("ascii", "ignore"))
    line = b"Received: from " + source + b"\n\tby " + hostname + b" (mailrelay) with " + protocol + b" id " + queue_id
    if len(info.recipients) == 1 and (info.smtputf8 or info.recipients[0].isascii()):
        line += b"\n\tfor <" + addr_spec(info.recipients[0], hostname) + b">"
    return line + b";\n\t" + date
