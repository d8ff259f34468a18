"""Mail as it is completed, for the tests of headers: what is known of it, what leaves, and that as it is read back."""

from __future__ import annotations

import email
import email.message
import email.policy
import re

from mailrelay.mail.headers import MessageInfo, complete

SENDER = b"plc@plant.example"
OWNER = b"owner@example.org"
ACCOUNT = b"account@gmail.example"
MARK = "01jd3x7k2m9q4w8z"


def info(
    sender: bytes = SENDER,
    *recipients: bytes,
    client: str = "192.168.1.5",
    helo: bytes = b"controllino",
    smtputf8: bool = False,
    hostname: str = "router.lan",
    date: float = 1763800000.5,
    protocol: str = "ESMTP",
    latest: float = 1e10,
) -> MessageInfo:
    to = list(recipients) or [OWNER]
    return MessageInfo(MARK, hostname, sender, sender, to, client, helo, date, smtputf8, protocol, latest)


def sent(*chunks: bytes, of: MessageInfo | None = None, sender: bytes | None = None, sevenbit: bool = False) -> bytes:
    return b"".join(complete(of or info(), chunks, sender or b"", sevenbit=sevenbit))


def parsed(
    *chunks: bytes, of: MessageInfo | None = None, sender: bytes | None = None, sevenbit: bool = False
) -> email.message.EmailMessage:
    data = re.sub(rb"(?m)^\.", b"", sent(*chunks, of=of, sender=sender, sevenbit=sevenbit))
    message = email.message_from_bytes(data, policy=email.policy.SMTP)
    assert isinstance(message, email.message.EmailMessage)
    return message


def fields(message: email.message.EmailMessage) -> dict[str, str]:
    return {name: str(value) for name, value in message.items() if name != "Received"}


def body(message: email.message.EmailMessage) -> bytes:
    content = message.get_payload(decode=True)
    assert isinstance(content, bytes)
    return content
