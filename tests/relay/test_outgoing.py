"""What a smarthost is given: mail from whom the settings say, in the form that its extensions allow."""

from __future__ import annotations

import pytest

from mailrelay.config import schema
from mailrelay.config.machine import ThisMachine
from mailrelay.config.settings import Settings
from mailrelay.courier import outgoing
from mailrelay.smtp.transaction import Attempt
from mailrelay.spool.spool import Envelope

ACCOUNT = "option username 'me@account.example'\n\toption password 'x'"


def settings(main: str = "", smarthost: str = "") -> Settings:
    config = f"config mailrelay 'main'\n\t{main}\nconfig smarthost 'a'\n\toption host 'a.example'\n\t{smarthost}\n"
    checked, faults, _ = schema.check(config.encode(), "config", ThisMachine())
    assert checked is not None, faults
    return checked


@pytest.mark.parametrize(
    ("main", "smarthost", "envelope", "notice", "expected"),
    [
        ("", "", b"plc@plant.example", False, b"plc@plant.example"),
        ("", "", b"", False, b""),
        ("", ACCOUNT, b"plc@plant.example", False, b"plc@plant.example"),
        ("option sender 'main@x.example'", "", b"plc@plant.example", False, b"main@x.example"),
        ("option sender 'main@x.example'", "", b"", False, b"main@x.example"),
        ("option sender 'main@x.example'", "option from 'own@y.example'", b"", False, b"own@y.example"),
        ("", "option from 'own@y.example'", b"plc@plant.example", False, b"own@y.example"),
        ("option sender 'main@x.example'", "option from 'o@y.example'\n\t" + ACCOUNT, b"", True, b"me@account.example"),
        ("option sender 'main@x.example'", "option from 'own@y.example'", b"", True, b"own@y.example"),
        ("option sender 'main@x.example'", ACCOUNT.replace("@account.example", ""), b"", True, b"main@x.example"),
        ("", "", b"", True, b""),
    ],
)
def test_the_smarthosts_word_goes_before_the_relays_and_that_before_the_envelopes(
    main: str, smarthost: str, envelope: bytes, notice: bool, expected: bytes
) -> None:
    checked = settings(main, smarthost)
    of = Envelope(envelope, [b"owner@example.org"], "", notice=notice)
    assert outgoing.sender(of, checked.main, checked.smarthosts[0]) == expected


def sent(envelope: Envelope, mail: bytes, *extensions: str) -> tuple[bytes, bytes]:
    """Return what MAIL says and what DATA brings, to a server with these extensions."""
    checked = settings()
    to = envelope.recipients
    made = outgoing.compose(envelope, "id", to, lambda: [mail], 0, checked.main, checked.smarthosts[0])
    offered = dict.fromkeys(extensions, "")
    Attempt(made).check(offered)
    return made.parameters(offered), b"".join(made.content())


def test_utf8_headers_go_out_only_where_the_envelope_needs_smtputf8() -> None:
    mail = "Subject: Störung\r\n\r\nhi\r\n".encode()
    go = Envelope(b"plc@plant.example", [b"owner@example.org"], "192.168.1.5", smtputf8=True)
    for offered in ("8BITMIME", "SMTPUTF8"):
        parameters, data = sent(go, mail, offered)
        assert b"SMTPUTF8" not in parameters
        assert data.isascii()
    needs = Envelope("plc@plänt.example".encode(), [b"owner@example.org"], "192.168.1.5", smtputf8=True)
    parameters, data = sent(needs, mail, "8BITMIME", "SMTPUTF8")
    assert b" SMTPUTF8" in parameters
    assert "\r\nSubject: Störung\r\n".encode() in data


@pytest.mark.parametrize("declared", [False, True])
def test_body_8bitmime_is_said_of_what_has_8_bits_whatever_the_client_said(declared: bool) -> None:
    envelope = Envelope(b"plc@plant.example", [b"owner@example.org"], "192.168.1.5", eightbit=declared)
    assert sent(envelope, "\r\nPümpe\r\n".encode(), "8BITMIME")[0] == b" BODY=8BITMIME"
    assert sent(envelope, b"\r\nPump\r\n", "8BITMIME")[0] == b""


def test_a_body_with_8_bits_goes_as_quoted_printable_where_8bitmime_is_not_offered() -> None:
    envelope = Envelope(b"plc@plant.example", [b"owner@example.org"], "192.168.1.5", eightbit=True)
    mail = "Subject: Störung\r\n\r\nPümpe\r\n".encode()
    parameters, data = sent(envelope, mail, "SIZE")
    assert parameters == b"" and data.isascii()
    assert data.endswith(b"\r\n\r\nP=C3=BCmpe\r\n")
    assert mail.partition(b"\r\n\r\n")[2] in sent(envelope, mail, "8BITMIME")[1]


@pytest.mark.parametrize(
    ("protocol", "smtputf8", "expected"),
    [
        ("SMTP", False, b"SMTP"),
        ("ESMTPA", False, b"ESMTPA"),
        ("ESMTP", True, b"UTF8SMTP"),
        ("ESMTPA", True, b"UTF8SMTPA"),
    ],
)
def test_received_tells_the_protocol_that_it_came_by(protocol: str, smtputf8: bool, expected: bytes) -> None:
    envelope = Envelope(b"a@x.example", [b"b@x.example"], "192.168.1.5", smtputf8=smtputf8, protocol=protocol)
    assert b" with " + expected + b" id " in sent(envelope, b"hi\r\n")[1]
