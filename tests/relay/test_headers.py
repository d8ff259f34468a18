"""What machines send leaves as mail that providers take: completed, rewritten, with no header that facts injected."""

from __future__ import annotations

import email
import email.message
import email.policy
import email.utils
import re
import time
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from mailrelay.mail.fields import MAX_HEAD
from mailrelay.mail.headers import MessageInfo, complete, recipients_from_headers
from tests.relay.letters import ACCOUNT, MARK, OWNER, SENDER, body, fields, info, parsed, sent

COMPLETED = {
    "From": "plc@plant.example",
    "Date": "Sat, 22 Nov 2025 08:26:40 +0000",
    "To": "owner@example.org",
    "Message-ID": f"<{MARK}@router.lan>",
}


# What the machines of the field send, and what arrives.


def test_a_sketch_that_sends_a_subject_gets_the_rest() -> None:
    assert sent(b"Subject: Alarm\r\n\r\nPump 3 failed\r\n") == (
        b"Received: from controllino ([192.168.1.5])\r\n"
        b"\tby router.lan (mailrelay) with ESMTP id 01jd3x7k2m9q4w8z\r\n"
        b"\tfor <owner@example.org>;\r\n"
        b"\tSat, 22 Nov 2025 08:26:40 +0000\r\n"
        b"Subject: Alarm\r\n"
        b"From: plc@plant.example\r\n"
        b"Date: Sat, 22 Nov 2025 08:26:40 +0000\r\n"
        b"To: owner@example.org\r\n"
        b"Message-ID: <01jd3x7k2m9q4w8z@router.lan>\r\n"
        b"\r\n"
        b"Pump 3 failed\r\n"
    )


@pytest.mark.parametrize(
    ("received", "headers", "text"),
    [
        pytest.param(b"", {}, b"", id="nothing at all"),
        pytest.param(b"Pump 3 failed\r\n", {}, b"Pump 3 failed\r\n", id="text only"),
        pytest.param(b"\r\nPump 3\r\n", {}, b"Pump 3\r\n", id="blank line first"),
        pytest.param(b"Subject: x\r\nPump 3 failed\r\n", {"Subject": "x"}, b"Pump 3 failed\r\n", id="no blank line"),
        pytest.param(b"Subject: x\nPump 3\nfailed", {"Subject": "x"}, b"Pump 3\r\nfailed\r\n", id="bare LF"),
        pytest.param(b"Subject: x\r\rPump 3\rfailed\r", {"Subject": "x"}, b"Pump 3\r\nfailed\r\n", id="bare CR"),
        pytest.param(
            b"Subject: x\r\r\nTo: a@b.c\r\r\n\r\r\nhi\r\r\n", {"Subject": "x", "To": "a@b.c"}, b"hi\r\n", id="CR CR LF"
        ),
        pytest.param(
            b"Subject: x\r\nAlarm: pump 3\r\n", {"Subject": "x"}, b"Alarm: pump 3\r\n", id="unknown field is text"
        ),
        pytest.param(
            b"Subject: x\r\nAlarm: pump 3\r\n\r\n", {"Subject": "x"}, b"Alarm: pump 3\r\n", id="and with a blank line"
        ),
        pytest.param(b"Alarm: 3\r\nLevel: 4\r\n", {}, b"Alarm: 3\r\nLevel: 4\r\n", id="only unknown fields"),
        pytest.param(
            b"Plant: 7\r\nSubject: x\r\nAlarm: 3",
            {"Plant": "7", "Subject": "x"},
            b"Alarm: 3\r\n",
            id="after the last known one",
        ),
        pytest.param(b"Subject: x\r\nX-Alarm: 3\r\n", {"Subject": "x", "X-Alarm": "3"}, b"", id="X- fields are known"),
        pytest.param(b"Alarm: 3\r\n\r\nhi\r\n", {"Alarm": "3"}, b"hi\r\n", id="unknown field with a body"),
        pytest.param(
            b"Subject: x\r\n12:30 pump on\r\nok\r\n", {"Subject": "x"}, b"12:30 pump on\r\nok\r\n", id="a time is text"
        ),
        pytest.param(
            b"Subject: x\r\nhttp://10.0.0.2/\r\nok\r\n",
            {"Subject": "x"},
            b"http://10.0.0.2/\r\nok\r\n",
            id="a URL is text",
        ),
        pytest.param(
            b"Subject : x\r\nTO:a@b.c\r\n\r\nhi\r\n",
            {"Subject": "x", "TO": "a@b.c"},
            b"hi\r\n",
            id="space before the colon",
        ),
        pytest.param(
            b"Subject: x\r\n \r\nAlarm: 3\r\n", {"Subject": "x"}, b"Alarm: 3\r\n", id='println(" ") as blank line'
        ),
        pytest.param(
            b"Subject: x\r\n \r\nTo: a@b.c\r\n\r\nhi\r\n",
            {"Subject": "x", "To": "a@b.c"},
            b"hi\r\n",
            id="not a blank line",
        ),
        pytest.param(
            b"Subject: x\r\n \r\n y\r\n\r\nhi\r\n", {"Subject": "x y"}, b"hi\r\n", id="white space within a fold"
        ),
        pytest.param(b"From root Sat Nov 22\nSubject: x\n\nhi\n", {"Subject": "x"}, b"hi\r\n", id="mbox line"),
        pytest.param(b"Subject: x\0y\r\n\r\n\0hi\r\n", {"Subject": "xy"}, b"hi\r\n", id="NUL"),
        pytest.param(b".Subject: x\r\n\r\n.hi\r\n", {"Subject": "x"}, b"hi\r\n", id="unstuffed"),
        pytest.param(b"Subject: x\r\n\r\n.\r\n..hi\r\n", {"Subject": "x"}, b".\r\n.hi\r\n", id="dots"),
    ],
)
def test_what_sketches_send(received: bytes, headers: dict[str, str], text: bytes) -> None:
    message = parsed(received)
    names = {name.lower() for name in headers}
    assert fields(message) == {**{k: v for k, v in COMPLETED.items() if k.lower() not in names}, **headers}
    assert body(message) == text


def test_nut_and_smartd_mail_as_root() -> None:
    nut = parsed(b"From: root\nTo: root\nSubject: UPS on battery\n\nUPS ups@localhost on battery\n")
    assert nut["From"] == "root <plc@plant.example>"
    assert nut["To"] == "owner@example.org"
    smartd = parsed(b"Subject: SMART error on host: nas\nTo: root\n\nThis message was generated by the smartd daemon\n")
    assert smartd["From"] == "plc@plant.example"


def test_a_cameras_complete_mime_mail_only_gains_a_received_field() -> None:
    mail = (
        b'Date: Sat, 22 Nov 2025 09:00:00 +0100\r\nFrom: "Cam 1" <cam@plant.example>\r\nTo: <owner@example.org>\r\n'
        b"Subject: =?utf-8?B?TW90aW9u?=\r\nMessage-ID: <1@cam>\r\nMIME-Version: 1.0\r\n"
        b'Content-Type: multipart/mixed;\r\n boundary="b"\r\n\r\n--b\r\n\r\nMotion\r\n--b--\r\n'
    )
    assert sent(mail).partition(b"\r\nDate: ")[2] == mail.removeprefix(b"Date: ")


# Completion.


@pytest.mark.parametrize("name", ["Date", "From", "To", "Message-ID"])
def test_an_empty_field_is_one_that_is_missing(name: str) -> None:
    message = parsed(name.encode() + b": \r\nSubject: x\r\n\r\nhi\r\n")
    assert message.get_all(name) == [COMPLETED[name]]


def test_what_the_message_says_stays() -> None:
    assert b"\r\nDate: 22 Nov 2025 08:26 GMT\r\n" in sent(b"Date: 22 Nov 2025 08:26 GMT\r\n\r\nhi\r\n")
    assert b"\r\nFrom:  Pump\t<p@q.example>\r\n" in sent(b"From:  Pump\t<p@q.example>\r\n\r\nhi\r\n")


# As OpenWrt has it in /etc/TZ, and as the tz database names it.
@pytest.mark.parametrize("zone", ["CET-1CEST,M3.5.0,M10.5.0/3", "Europe/Berlin"])
def test_the_date_is_local_time_as_it_is_at_that_moment(zone: str, local_time: Callable[[str], None]) -> None:
    local_time(zone)
    for date, shown in ((1763800000, "Sat, 22 Nov 2025 09:26:40 +0100"), (1753800000, "29 Jul 2025 16:40:00 +0200")):
        message = parsed(b"x", of=info(date=date))
        assert message["Date"].endswith(shown)
        assert message["Received"].endswith(message["Date"])
        assert email.utils.parsedate_to_datetime(message["Date"]).timestamp() == date
    local_time("XXX+9:30")
    assert parsed(b"x")["Date"] == "Fri, 21 Nov 2025 22:56:40 -0930"
    local_time("UTC")
    assert parsed(b"x")["Date"] == "Sat, 22 Nov 2025 08:26:40 +0000"


def test_the_date_survives_a_broken_clock() -> None:
    assert b"Date: Thu, 1 Jan 1970" in sent(b"x", of=info(date=-1e30))
    assert b"Date: Fri, 31 Dec 9999" in sent(b"x", of=info(date=1e30))


def test_a_time_beyond_the_c_librarys_is_its_last(monkeypatch: pytest.MonkeyPatch) -> None:
    localtime = time.localtime

    def of_32_bits(seconds: float) -> time.struct_time:
        if seconds >= 2**31:
            raise OverflowError
        return localtime(seconds)

    monkeypatch.setattr(time, "localtime", of_32_bits)
    assert b"Date: Tue, 19 Jan 2038 03:14:07" in sent(b"x", of=info(date=2e10))


@pytest.mark.parametrize(
    "date",
    [
        b"Thu, 01 Jan 1970 00:00:12 +0000",
        b"Fri, 31 Dec 2004 23:59:59 +0000",
        b"Mon, 24 Nov 2025 08:26:42 +0000",
        b"Sun, 07 Feb 2106 06:28:15 +0000",
        b"30.11.2026 15:20",
        b"2025-11-22T08:26:40Z",
        b"Sat, 22 Nov 2025 08:26:40",
        b"Sat, 22 Nov 2025 24:26:40 +0000",
        b"30 Feb 2025 08:26:40 +0000",
        b"22 Nov 08:26:40 2025",
        b"yesterday",
        "22. März 2025".encode(),
    ],
    ids=lambda date: repr(date[:40]),
)
def test_a_date_that_cannot_be_meant_is_replaced_and_kept_for_the_reader(date: bytes) -> None:
    message = parsed(b"Subject: x\r\nDate: " + date + b"\r\n\r\nhi\r\n", of=info(latest=1763972801))
    assert message.get_all("Date") == ["Sat, 22 Nov 2025 08:26:40 +0000"]
    assert message.get_all("X-Original-Date") == [date.decode().strip()]


@pytest.mark.parametrize(
    "date",
    [
        b"Sat, 1 Jan 2005 00:00:00 +0000",
        b"sat,22 nov 2025 08:26 +0000 (GMT)",
        b"Sat, 22 Nov 25 08:26:40 EST",
        b"22 Nov 125 08:26:40 Z",
        b"Mon, 24 Nov 2025 09:26:40 +0100",
        b"Sat, 22 Nov 2025 08 : 26 : 60 (a\r\n comment) -0000",
    ],
)
def test_a_date_that_can_be_meant_stays(date: bytes) -> None:
    data = sent(b"Date: " + date + b"\r\n\r\nhi\r\n", of=info(latest=1763972801))
    assert b"\r\nDate: " + date + b"\r\n" in data
    assert b"X-Original-Date" not in data


def test_a_signed_mail_keeps_its_date_and_recipients() -> None:
    mail = b"DKIM-Signature: v=1; h=date:to\r\nDate: Thu, 01 Jan 1970 00:00:12 +0000\r\nTo: root\r\n"
    assert mail in sent(mail + b"\r\nhi\r\n")


def test_a_message_id_without_brackets_gets_them_and_nonsense_is_replaced() -> None:
    assert b"\r\nMessage-ID: <1@cam>\r\n" in sent(b"Message-ID: 1@cam\r\n\r\nhi\r\n")
    assert b"\r\nMessage-ID: <01jd3x7k2m9q4w8z@router.lan>\r\n" in sent(b"Message-ID: 17\r\n\r\nhi\r\n")


def test_the_null_sender_is_the_mailer_daemon() -> None:
    assert parsed(b"x", of=info(b""))["From"] == "MAILER-DAEMON@router.lan"


def test_a_from_without_an_address_gets_the_envelopes() -> None:
    assert b"\r\nFrom: Pump station <plc@plant.example>\r\n" in sent(b"From: Pump station\r\n\r\nhi\r\n")
    assert b'\r\nFrom: "Pump, no. 3" <plc@plant.example>\r\n' in sent(b'From: "Pump, no. 3"\r\n\r\nhi\r\n')
    assert b"\r\nFrom: plc@router.lan\r\n" in sent(b"hi\r\n", of=info(b"plc"))


def test_odd_envelope_addresses_are_quoted() -> None:
    assert b'\r\nFrom: "ilo."@rack.example\r\n' in sent(b"hi\r\n", of=info(b"ilo.@rack.example"))
    assert b'\r\nFrom: "a> b"@rack.example\r\n' in sent(b"hi\r\n", of=info(b"a> b@rack.example"))
    assert b"\r\nFrom: a@rack.examplex\r\n" in sent(b"hi\r\n", of=info(b"a@rack.example>,<x"))
    assert b"\r\nFrom: a@[192.168.1.5]\r\n" in sent(b"hi\r\n", of=info(b"a@[192.168.1.5]"))


def test_bcc_leaves_no_trace_and_recipients_are_not_told_of_each_other() -> None:
    assert parsed(b"Bcc: spy@example.org\r\n\r\nhi\r\n")["To"] == "undisclosed-recipients:;"
    assert parsed(b"hi\r\n", of=info(SENDER, OWNER, b"spy@example.org"))["To"] == "undisclosed-recipients:;"
    for mail in (
        b"Bcc: spy@example.org,\r\n other@example.org\r\nSubject: x\r\n\r\nhi\r\n",
        b"Subject: x\r\n\r\nhi\r\n",
    ):
        message = sent(mail, of=info(SENDER, OWNER, b"spy@example.org"))
        assert b"spy" not in message
        assert b"other" not in message
        assert b"for <" not in message


@pytest.mark.parametrize(
    ("received", "recipients", "expected"),
    [
        ("To: root@raspberrypi", "o@x.example", "To: o@x.example"),
        ("To: Admin <root@localhost.localdomain>", "o@x.example", "To: Admin <o@x.example>"),
        ("To: root, ups@nas.lan", "o@x.example", "To: o@x.example"),
        ("To: root@Router.Plant.example", "o@x.example", "To: o@x.example"),
        ("To: a@router.plant.example", "a@router.plant.example", "To: a@router.plant.example"),
        ("To: Pump station", "o@x.example", "To: Pump station <o@x.example>"),
        ("To: root", "o@x.example p@x.example", "To: undisclosed-recipients:;"),
        ("To: root\r\nBcc: spy", "o@x.example", "To: undisclosed-recipients:;"),
        ("To: root\r\nCc: nut", "o@x.example", "To: o@x.example"),
        ("Cc: root", "o@x.example", "Cc: o@x.example"),
        ("To: a@x.example\r\nCc: root", "o@x.example", "To: a@x.example"),
        ("To: root, A <a@x.example>, b@nas", "o@x.example", "To: A <a@x.example>"),
        ("To: a@x.example\r\nCc: c@x.example, root", "o@x.example", "To: a@x.example\r\nCc: c@x.example"),
        ("To: a@plant.local, b@plant.local", "a@plant.local b@plant.local", "To: a@plant.local, b@plant.local"),
        ("To: undisclosed-recipients:;", "o@x.example", "To: undisclosed-recipients:;"),
        ("To: root@[192.168.1.1], a@[192.0.2.1]", "o@x.example", "To: a@[192.0.2.1]"),
        ("To: root@192.168.1.1", "o@x.example", "To: o@x.example"),
        ("To: root@Router.plant.example.", "o@x.example", "To: o@x.example"),
    ],
)
def test_a_name_of_the_own_network_becomes_the_address_it_went_to(
    received: str, recipients: str, expected: str
) -> None:
    of = info(SENDER, *recipients.encode().split(), hostname="router.plant.example")
    data = sent(f"{received}\r\n\r\nhi\r\n".encode(), of=of)
    assert re.findall(r"\r\n((?:To|Cc): .*)(?=\r)", data.decode()) == expected.split("\r\n")


def test_a_cc_alone_is_recipient_enough() -> None:
    assert "To" not in parsed(b"Cc: a@b.example\r\n\r\nhi\r\n")


def test_fields_that_may_stand_once_stand_once() -> None:
    message = parsed(
        b"Subject:\r\nFrom: a@b.example\r\nSubject: first\r\nTo: c@d.example,\r\nDate: 1\r\nDate: 2\r\n"
        b"Subject: second\r\nTo: e@f.example\r\nFrom: x@y.example\r\nReceived: by a\r\nReceived: by b\r\n\r\nhi\r\n"
    )
    assert message.get_all("Subject") == ["first"]
    assert message.get_all("From") == ["a@b.example"]
    assert message.get_all("To") == ["c@d.example, e@f.example"]
    assert len(message.get_all("Date", [])) == 1
    assert len(message.get_all("Received", [])) == 3


def test_what_final_hosts_write_does_not_leave() -> None:
    message = sent(b"Return-Path: <a@b>\r\nContent-Length: 3\r\nSubject: x\r\n\r\nhi\r\n")
    assert b"Return-Path" not in message
    assert b"Content-Length" not in message


def test_received_names_the_client_as_rfc_5321_has_it() -> None:
    assert sent(b"x", of=info(client="fe80::1%eth0")).startswith(b"Received: from controllino ([IPv6:fe80::1])\r\n")
    assert sent(b"x", of=info(helo=b"")).startswith(b"Received: from [192.168.1.5]\r\n\tby")
    assert sent(b"x", of=info(client="")).startswith(b"Received: from localhost\r\n\tby")
    assert b"with UTF8SMTPA id" in sent(b"x", of=info(protocol="UTF8SMTPA"))


# 8-bit text.


def test_a_body_with_umlauts_is_labelled() -> None:
    for charset in ("utf-8", "iso-8859-1"):
        message = parsed(b"Subject: x\r\n\r\n" + "Überlauf".encode(charset))
        assert message.get_content_charset() == charset
        assert message["MIME-Version"] == "1.0"
        assert message["Content-Transfer-Encoding"] == "8bit"
        assert message.get_content() == "Überlauf\r\n"
    assert "MIME-Version" not in parsed(b"Subject: x\r\n\r\nhi\r\n")


def test_windows_octets_are_labelled_as_such_in_body_and_header() -> None:
    text = "5 € – „Störung“"
    message = parsed(b"Subject: " + text.encode("cp1252") + b"\r\n\r\n" + text.encode("cp1252"))
    assert (message.get_content_charset(), message.get_content()) == ("windows-1252", text + "\r\n")
    assert message["Subject"] == text
    for octet in b"\x81\x8d\x8f\x90\x9d":  # in no text of Windows
        assert parsed(b"\r\n\x80" + bytes([octet])).get_content_charset() == "iso-8859-1"


def test_a_label_that_is_there_stays_and_gets_its_mime_version() -> None:
    message = parsed(b"Content-Type: text/html\r\n\r\n<b>\xc3\xa4</b>\r\n")
    assert (message["MIME-Version"], message["Content-Type"]) == ("1.0", "text/html")
    assert "Content-Transfer-Encoding" not in message


def test_a_long_bodys_label_is_settled_by_its_start() -> None:
    filler = b"log line\r\n" * 8000
    assert b"charset=utf-8" in sent(filler, "ä".encode())[:900]
    assert b"charset=iso-8859-1" in sent(b"\xe4" + filler)[:900]
    for shift in range(4):  # the part that is looked at ends within a character
        assert b"charset=utf-8" in sent(b"x" * shift + "😀".encode() * 20000)[:900]


def test_text_with_umlauts_is_encoded_in_the_header() -> None:
    message = parsed(
        'Subject: Störung an Pumpe 3\r\nX-Ort: Köln\r\nFrom: "Müller, Jörg" <j@x.example>\r\n\r\nhi\r\n'.encode()
    )
    assert (message["Subject"], message["X-Ort"]) == ("Störung an Pumpe 3", "Köln")
    assert message["From"].addresses[0].display_name == "Müller, Jörg"
    assert message["From"].addresses[0].addr_spec == "j@x.example"
    assert parsed("Subject: Störung\r\n\r\nhi\r\n".encode("latin-1"))["Subject"] == "Störung"
    assert (
        parsed("From: Jörg @ Büro <j@x.example>\r\n\r\nhi\r\n".encode())["From"].addresses[0].display_name
        == "Jörg @ Büro"
    )
    assert "(=?utf-8?" in sent("From: j@x.example (Jörg)\r\n\r\nhi\r\n".encode()).decode()


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("To: jörg@x.example", "To: =?utf-8?b?asO2cmdAeC5leGFtcGxl?=:;"),
        ("To: J <jörg@x.example>, a@x.example", "To: =?utf-8?b?SiBqw7ZyZ0B4LmV4YW1wbGU=?=:;, a@x.example"),
        ("From: jörg@x.example", "From: =?utf-8?b?asO2cmdAeC5leGFtcGxl?= <plc@plant.example>"),
        ("From: joe@x.example Jörg", "From: =?utf-8?b?SsO2cmc=?= <joe@x.example>"),
    ],
)
def test_an_address_that_the_provider_cannot_be_given_is_a_name(field: str, expected: str) -> None:
    data = sent(f"{field}\r\n\r\nhi\r\n".encode())
    assert expected.encode() in data.split(b"\r\n")
    assert data.isascii()


@given(st.text(alphabet="aä€ 😀", min_size=1, max_size=300))
def test_an_encoded_subject_reads_the_same_in_short_lines(text: str) -> None:
    text = " ".join(text.split())
    assume(text and not text.isascii())
    data = sent(b"Subject: " + text.encode() + b"\r\n\r\nhi\r\n")
    assert max(map(len, data.split(b"\r\n"))) <= 80
    assert email.message_from_bytes(data, policy=email.policy.SMTP)["Subject"] == text


def test_smtputf8_mail_keeps_its_utf8() -> None:
    of = info("plc@plänt.example".encode(), "öwner@example.org".encode(), smtputf8=True)
    data = sent("Subject: Störung\r\n\r\nhi\r\n".encode(), of=of)
    assert "\r\nSubject: Störung\r\n".encode() in data
    assert "\r\nFrom: plc@plänt.example\r\n".encode() in data
    assert "\r\nTo: öwner@example.org\r\n".encode() in data
    assert b"\r\nSubject: =?iso-8859-1?b?" in sent(b"Subject: St\xf6rung\r\n\r\nhi\r\n", of=of)


# Rewriting.


@pytest.mark.parametrize(
    ("given_from", "new_from", "kept"),
    [
        (b"plc@plant.example", b"account@gmail.example", b"Reply-To: plc@plant.example"),
        (b"Pump 3 <plc@plant.example>", b"Pump 3 <account@gmail.example>", b"Reply-To: plc@plant.example"),
        (b'"Pump, 3" <plc@plant.example>', b'"Pump, 3" <account@gmail.example>', b"Reply-To: plc@plant.example"),
        (b"plc@plant.example (Pump 3)", b"Pump 3 <account@gmail.example>", b"Reply-To: plc@plant.example"),
        (b"plc@plant.example (P. 3)", b'"P. 3" <account@gmail.example>', b"Reply-To: plc@plant.example"),
        (b"root@OpenWrt", b"account@gmail.example", b"X-Original-From: root@OpenWrt"),
        (b"root@nas.local", b"account@gmail.example", b"X-Original-From: root@nas.local"),
        (b"root@NAS.Lan", b"account@gmail.example", b"X-Original-From: root@NAS.Lan"),
        (b"a@localhost.localdomain", b"account@gmail.example", b"X-Original-From: a@localhost.localdomain"),
        (b"root", b"account@gmail.example", b"X-Original-From: root"),
        (b"Pump 3", b"Pump 3 <account@gmail.example>", b"X-Original-From: Pump 3"),
        (b"plc@192.168.1.5", b"account@gmail.example", b"X-Original-From: plc@192.168.1.5"),
        (b"a@b.example, c@d.example", b"account@gmail.example", b"X-Original-From: a@b.example, c@d.example"),
        (b"P <Account@Gmail.example>", b"P <Account@Gmail.example>", None),
    ],
)
def test_from_becomes_the_account_and_the_original_is_kept(
    given_from: bytes, new_from: bytes, kept: bytes | None
) -> None:
    data = sent(b"From: " + given_from + b"\r\nSender: x@y.example\r\n\r\nhi\r\n", sender=ACCOUNT)
    assert b"\r\nFrom: " + new_from + b"\r\n" in data
    assert b"\r\nSender:" not in data
    if kept:
        assert b"\r\n" + kept + b"\r\n" in data
    else:
        assert b"Reply-To" not in data
        assert b"X-Original" not in data


def test_rewriting_keeps_a_reply_to_that_is_there() -> None:
    data = sent(b"Reply-To: desk@plant.example\r\nFrom: plc@plant.example\r\n\r\nhi\r\n", sender=ACCOUNT)
    assert data.count(b"Reply-To:") == 1
    assert b"\r\nX-Original-From: plc@plant.example\r\n" in data


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (b"cam@cam.local", b"X-Original-Reply-To: cam@cam.local"),
        (b"root", b"X-Original-Reply-To: root"),
        (b"Cam <cam@192.168.1.5>, desk@plant.example", b"Reply-To: desk@plant.example"),
        (b"Desk <desk@plant.example>", b"Reply-To: Desk <desk@plant.example>"),
    ],
)
def test_answers_are_asked_for_by_nobody_whom_they_do_not_reach(said: bytes, expected: bytes) -> None:
    data = sent(b"Reply-To: " + said + b"\r\nFrom: plc@plant.lan\r\n\r\nhi\r\n", sender=ACCOUNT)
    assert re.findall(rb"\r\n((?:X-Original-)?Reply-To: .*)(?=\r)", data) == [expected]


def test_rewriting_a_mail_without_from_keeps_the_envelopes() -> None:
    data = sent(b"hi\r\n", sender=ACCOUNT)
    assert b"\r\nFrom: account@gmail.example\r\nReply-To: plc@plant.example\r\n" in data
    assert b"\r\nFrom: account@gmail.example\r\nDate:" in sent(b"hi\r\n", of=info(b""), sender=ACCOUNT)


# Bounds and attacks.

hostile = st.text(alphabet='a@. <>"\\()[],;:\r\n\t\0\x1b\x7fä%=', max_size=30).map(str.encode)


@given(hostile, hostile, hostile, hostile, hostile, st.booleans())
def test_no_fact_injects_a_header(a: bytes, b: bytes, c: bytes, d: bytes, e: bytes, smtputf8: bool) -> None:
    of = MessageInfo(MARK + a.decode(), b.decode(), c, d, [e], a.decode(), b, 1.0, smtputf8)
    for rule in (None, d or None):
        data = sent(b"hi\r\n", of=of, sender=rule)
        head, _, rest = data.partition(b"\r\n\r\n")
        assert rest == b"hi\r\n"
        assert re.sub(rb"\r\n[\t ](?=\S)", b"", head).count(b"\r\n") == len(re.findall(rb"\r\n[A-Z]", head))
        names = re.findall(rb"(?m)^([^\s:]+):", head)
        assert set(names) <= {b"Received", b"From", b"Reply-To", b"X-Original-From", b"Date", b"To", b"Message-ID"}
        assert len(set(names)) == len(names)
        assert not re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", head)


def test_long_header_lines_are_folded_at_white_space_else_anywhere() -> None:
    words = b"word " * 500
    data = sent(b"Subject: " + words + b"\r\nReferences: " + b"<x@y>" * 500 + b"\r\n\r\nhi\r\n")
    assert max(map(len, data.split(b"\r\n"))) <= 998
    message = email.message_from_bytes(data, policy=email.policy.compat32)
    assert re.sub(r"\r\n", "", message["Subject"]).split() == words.decode().split()
    assert re.sub(r"\r\n ", "", message["References"]) == "<x@y>" * 500
    assert b"Subject:\r\n" not in sent(b"Subject: " + b"x" * 3000 + b"\r\n\r\nhi\r\n")
    assert re.search(rb"\r\nX-A: b *\r\nFrom:", sent(b"X-A: b" + b" " * 3000 + b"\r\n\r\nhi\r\n"))


def test_a_header_section_without_end_is_taken_up_to_its_bound() -> None:
    data = sent(b"X-A: b\r\n" * 20000)
    head, _, text = data.partition(b"\r\n\r\n")
    assert head.count(b"X-A: b") == MAX_HEAD // 7
    assert data.count(b"X-A: b") == 20000
    assert b"X-A: b\r\n" in text


def test_memory_does_not_grow_with_the_mail() -> None:
    chunk = (b"x" * 76 + b"\r\n") * 840
    for head in (b"Subject: x\r\n\r\n", b"Content-Type: a/b\r\n\r\n", b""):
        mail = complete(info(), (part for parts in ([head], [chunk] * 200) for part in parts))
        tracemalloc.start()
        assert sum(map(len, mail)) > 200 * len(chunk)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 1_000_000


@pytest.mark.parametrize(
    "mail",
    [
        b"From: " + b'"' * 60000,
        b"From: " + b'"\\' * 30000,
        b"From: " + b"(" * 60000,
        b"From: " + b"<" * 60000,
        b"From: " + b'<"a"' * 15000,
        b"From: " + b" " * 60000 + b"x",
        b"From: " + b"a@" * 30000,
        b"From: " + b"a." * 30000 + b"\x80",
        b"To: " + b"a@b.c " * 10000 + b"\x80",
        b"To: " + b"root, a@b.c, " * 5000,
        b"Date: " + b"(" * 60000,
        b"Content-Type: a/b" + b'; c="\x80' * 9000,
        b"A" * 70000,
        b"\n" * 70000,
        b" \n" * 35000,
        b"Subject: x\n" + b" \n" * 32000 + b" y\n",
        b"\r" * 200000,
        b"a:\n" * 20000,
        b"Subject: " + b"\xc3\xa4" * 32000,
        b"Subject: " + b" x" * 32000,
    ],
    ids=lambda mail: repr(mail[:12]),
)
def test_no_input_takes_quadratic_time(mail: bytes) -> None:
    started = time.process_time()
    sent(mail + b"\r\n\r\nhi\r\n", sender=ACCOUNT)
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"a@b.example", [b"a@b.example"]),
        (b"root", [b"root"]),
        (b" <a@b.example> ", [b"a@b.example"]),
        (b"A B <a@b.example>, c@d.example", [b"a@b.example", b"c@d.example"]),
        (b'"B, A" <a@b.example>,\n\t"x\\"<q@q>" <c@d.example>', [b"a@b.example", b"c@d.example"]),
        (b"a@b.example (one, two (three)), c@d.example", [b"a@b.example", b"c@d.example"]),
        (b"ops: a@b.example, C <c@d.example>;, e@f.example", [b"a@b.example", b"c@d.example", b"e@f.example"]),
        (b"undisclosed-recipients:;", []),
        (b'"a b"@c.example', [b'"a b"@c.example']),
        (b"a @ b . example", [b"a@b.example"]),
        (b"<@r1.example,@r2.example:a@b.example>", [b"a@b.example"]),
        (b"a@[IPv6:fe80::1]", [b"a@[IPv6:fe80::1]"]),
        (b"a@b.example c@d.example; e@f.example", [b"a@b.example", b"c@d.example", b"e@f.example"]),
        (b"mailto:a@b.example", [b"a@b.example"]),
        (b'"unfinished <a@b.example>', [b"a@b.example"]),
        (b"<a@b.example, <c@d.example>", [b"a@b.example", b"c@d.example"]),
        (b"(lost a@b.example", [b"a@b.example"]),
        (b"Pump station", []),
        (b"<>, , ,", []),
        (b"@, <@>", []),
        (b"a@b.example, a@b.example", [b"a@b.example"]),
    ],
)
def test_recipients_are_found_in_every_form_of_address(value: bytes, expected: list[bytes]) -> None:
    assert recipients_from_headers(b"Subject: x\nTo: " + value + b"\n\nCc: no@body.example\n") == expected


def test_recipients_come_from_to_cc_and_bcc_or_their_resent_forms() -> None:
    mail = b"To: a@b.example\r\nCC: c@d.example,\r\n e@f.example\r\nBcc: g@h.example\r\nTo: i@j.example"
    all_of_them = [b"a@b.example", b"c@d.example", b"e@f.example", b"g@h.example", b"i@j.example"]
    assert recipients_from_headers(mail) == all_of_them
    assert recipients_from_headers(b"Resent-To: k@l.example\r\n" + mail) == [b"k@l.example"]
    assert recipients_from_headers(b"") == []


@given(st.one_of(st.binary(max_size=60), hostile))
@example(b"\x0b")
def test_no_address_field_breaks_the_search(value: bytes) -> None:
    try:
        found = recipients_from_headers(b"To: " + value)
    except ValueError:
        assert re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", value)
        return
    for address in found:
        assert address
        assert not re.search(rb"[\x00-\x1f\x7f]", address)
