"""Whatever comes in, what leaves is clean, complete and the same however it was cut."""

from __future__ import annotations

import email.utils
import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.relay.letters import ACCOUNT, parsed, sent

line = st.one_of(
    st.sampled_from(
        [
            b"Subject: x",
            b"Subject:",
            b"From: a@b.example",
            b'From: "x',
            b"To: c@d.example, e",
            b"Date: 1",
            b"Message-ID: <1@x>",
            b"Content-Type: text/plain",
            b"Content-Type: multipart/mixed; boundary=b",
            b"Content-Type: application/octet-stream",
            b"Content-Type: message/rfc822",
            b"Content-Transfer-Encoding: 8bit",
            b"Content-Transfer-Encoding: base64",
            b"Content-Transfer-Encoding: quoted-printable",
            b'Content-Disposition: attachment; filename="\xc3\xa4.log"',
            b"--b",
            b"--b--",
            b"Alarm: 3",
            b"X-Y : z",
            b" folded",
            b" ",
            b"",
            b".",
            b"..",
            b".a: b",
            b"text",
            b"\xc3\xa4",
            b"Subject: \xe4",
            b"x" * 1100,
            b"X-L: " + b"y " * 700,
            b"From r",
        ]
    ),
    st.binary(max_size=12),
)
mails = st.lists(
    st.tuples(line, st.sampled_from([b"\r\n", b"\r\n", b"\n", b"\r", b"\r\r\n", b"", b"\0"])), max_size=14
).map(lambda parts: b"".join([part for pair in parts for part in pair]))


@given(mails, st.lists(st.integers(0), max_size=6), st.sampled_from([None, ACCOUNT]))
def test_any_cutting_into_chunks_gives_the_same_mail(mail: bytes, places: list[int], rule: bytes | None) -> None:
    edges = [0, *sorted(place % (len(mail) + 1) for place in places), len(mail)]
    chunks = [mail[start:end] for start, end in itertools.pairwise(edges)]
    for sevenbit in (False, True):
        whole = sent(mail, sender=rule, sevenbit=sevenbit)
        assert sent(*chunks, sender=rule, sevenbit=sevenbit) == whole
        assert sent(*[mail[i : i + 1] for i in range(len(mail))], sender=rule, sevenbit=sevenbit) == whole


@pytest.mark.parametrize(
    "head", [b"", b"Subject: x\r\n\r\n", b"X-A: b\r\n" * 9000, b"Content-Type: a/b\r\n\r\n", b"\r\n" * 40000]
)
@pytest.mark.parametrize("size", [1000, 8192, 65536, 1 << 20])
def test_any_cutting_of_a_long_mail_too(head: bytes, size: int) -> None:
    mail = head + (b"text\r\n" * 30 + b"\xc3\xa4.\n.\r..x\r\n" + b"y" * 1500) * 120
    for sevenbit in (False, True):
        cut = sent(*[mail[i : i + size] for i in range(0, len(mail), size)], sevenbit=sevenbit)
        assert cut == sent(mail, sevenbit=sevenbit)


@given(mails, st.sampled_from([None, ACCOUNT]), st.booleans())
def test_only_clean_complete_mail_goes_out(mail: bytes, rule: bytes | None, sevenbit: bool) -> None:
    data = sent(mail, sender=rule, sevenbit=sevenbit)
    assert data.isascii() or not sevenbit
    assert not re.search(rb"\0|\r(?!\n)|(?<!\r)\n", data)
    assert data.endswith(b"\r\n")
    head, _, text = (data + b"\r\n").partition(b"\r\n\r\n")
    for part in (head + b"\r\n" + text).split(b"\r\n"):
        assert not part.startswith(b".") or part.startswith(b"..")
        assert len(part.removeprefix(b".")) <= 998
    for part in head.split(b"\r\n"):
        assert re.match(rb"[A-Za-z][!-9;-~]*:|[ \t]+[^ \t]", part)
    names = re.findall(rb"(?m)^([^\s:]+):", head.lower())
    for name in (b"from", b"date", b"message-id"):
        assert names.count(name) == 1
    assert names.count(b"to") <= 1
    assert b"bcc" not in names


@given(mails, st.sampled_from([None, ACCOUNT]), st.booleans())
def test_a_completed_mail_passes_a_second_relay_unchanged(mail: bytes, rule: bytes | None, sevenbit: bool) -> None:
    once = sent(mail, sender=rule, sevenbit=sevenbit)
    twice = sent(once, sender=rule, sevenbit=sevenbit)
    trace = re.match(rb"Received:[^\n]*\n(?:[ \t][^\n]*\n)*", twice)
    assert trace
    assert twice[trace.end() :] == once


words = st.text(alphabet="abc XYZ0123.!?", min_size=1, max_size=40).map(str.strip).filter(bool)


@given(
    words,
    words,
    st.text(alphabet=st.characters(blacklist_categories=("Cs", "Cc")), max_size=200),
    st.text(alphabet=st.characters(blacklist_categories=("Cs", "Cc")), max_size=200),
)
def test_well_formed_mail_reads_the_same_afterwards(name: str, subject: str, first: str, second: str) -> None:
    message = email.message.EmailMessage(policy=email.policy.SMTP)
    message["Subject"] = subject
    message["From"] = email.utils.formataddr((name, "plc@plant.example"))
    message.set_content(first + "\n" + second + "\n")
    wire = re.sub(rb"(?m)^\.", b"..", message.as_bytes())
    after = parsed(wire)
    assert after["Subject"] == message["Subject"]
    assert after["From"] == message["From"]
    assert after.get_content().replace("\r\n", "\n") == message.get_content().replace("\r\n", "\n")


# sendmail -t
