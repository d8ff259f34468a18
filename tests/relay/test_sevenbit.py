"""To a provider that takes no 8-bit octets the same text goes in ASCII: decoded again, it is what came in."""

from __future__ import annotations

import email
import email.message
import email.policy
import re
import time
import tracemalloc
from itertools import chain, repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailrelay.mail.headers import complete
from mailrelay.mail.sevenbit import SevenBit
from tests.relay.letters import info, parsed, sent

lines = st.lists(
    st.one_of(
        st.sampled_from(
            [b"", b".", b"--b", b"-", b"--", b"x ", b"=41", b"From x", b"\t", b"\xc3\xa4" * 700, b"y" * 5000]
        ),
        st.binary(max_size=100),
    ),
    max_size=20,
).map(lambda some: b"".join([re.sub(rb"[\0\r\n]", b"", line) + b"\n" for line in some]))


def decoded(data: bytes) -> bytes:
    """The content of a part, with LF line ends."""
    message = email.message_from_bytes(data, policy=email.policy.compat32)
    content = message.get_payload(decode=True)
    assert isinstance(content, bytes)
    return content.replace(b"\r\n", b"\n")


def recoded(content_type: bytes, text: bytes) -> bytes:
    recoder = SevenBit(content_type, b"")
    body = recoder.feed(text) + recoder.finish()
    assert body.isascii()
    assert max(map(len, body.split(b"\n"))) <= 76
    return b"Content-Transfer-Encoding: " + recoder.encoding + b"\n\n" + body


@given(lines, st.sampled_from([b"text/plain", b"", b"application/octet-stream"]))
def test_what_is_decoded_is_what_was_encoded(text: bytes, content_type: bytes) -> None:
    assert decoded(recoded(content_type, text)) == text


@given(lines, lines)
def test_every_part_of_a_multipart_is_what_it_was(first: bytes, second: bytes) -> None:
    mail = b"".join(
        [
            b'MIME-Version: 1.0\nContent-Type: multipart/mixed;\n boundary="=_x y"\n\npreamble\n',
            b"--=_x y\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n" + first,
            b"\n--=_x y\nContent-Type: application/octet-stream\n\n" + second,
            b"\n--=_x y\t\nContent-Type: image/jpeg\nContent-Transfer-Encoding: base64\n\n/9j/4AAQ\n",
            b"--=_x y--\nepilogue\n",
        ]
    )
    recoder = SevenBit(b'multipart/mixed; boundary="=_x y"', b"")
    head, _, text = mail.partition(b"\n\n")
    data = head + b"\n\n" + recoder.feed(text) + recoder.finish()
    assert data.isascii()
    parts = email.message_from_bytes(data).get_payload()
    assert isinstance(parts, list) and len(parts) == 3
    assert [decoded(part.as_bytes()) for part in parts if isinstance(part, email.message.Message)] == [
        first,
        second,
        b"\xff\xd8\xff\xe0\0\x10",
    ]


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("", ["Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: quoted-printable"]),
        ("Content-Transfer-Encoding: 8bit\r\n", ["Content-Transfer-Encoding: quoted-printable"]),
        ("Content-Type: text/html\r\n", ["Content-Type: text/html", "Content-Transfer-Encoding: quoted-printable"]),
        ("Content-Type: application/json\r\n", ["Content-Transfer-Encoding: base64"]),
    ],
)
def test_the_header_says_how_the_body_is_encoded(head: str, expected: list[str]) -> None:
    mail = f"Subject: x\r\n{head}\r\nStörung\r\n".encode()
    data = sent(mail, sevenbit=True)
    assert data.isascii()
    assert set(expected) <= set(data.decode().split("\r\n"))
    assert data.count(b"Content-Transfer-Encoding") == data.count(b"MIME-Version: 1.0") == 1
    assert parsed(mail, sevenbit=True).get_payload(decode=True) == "Störung\r\n".encode()


def test_nested_parts_and_their_headers_become_ascii() -> None:
    inner = (
        "--o\r\nContent-Type: multipart/alternative; boundary=i\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
        "--i\r\n\r\nÜberlauf\r\n--i\r\nContent-Type: text/html\r\n\r\n<b>Überlauf</b>\r\n--i--\r\n"
        '--o\r\nContent-Type: text/csv; name="Müll.csv"\r\n\r\nä;ö\r\n--i\r\nü\r\n'
        "--o\r\nContent-Type: message/rfc822\r\n\r\nSubject: Störung\r\n\r\nfür dich\r\n--o--\r\n"
    )
    message = parsed(f"Content-Type: multipart/mixed; boundary=o\r\n\r\n{inner}".encode(), sevenbit=True)
    assert message.as_bytes().isascii()
    plain, html, csv, forwarded = [part for part in message.walk() if not part.is_multipart()]
    texts = [part.get_payload(decode=True) for part in (plain, html, csv, forwarded)]
    assert texts == ["Überlauf".encode(), "<b>Überlauf</b>".encode(), "ä;ö\r\n--i\r\nü".encode(), "für dich".encode()]
    assert csv.get_filename() == "Müll.csv"
    [outer] = [part for part in message.walk() if part.get_content_type() == "message/rfc822"]
    assert outer.get_content()["Subject"] == "Störung"


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Type: multipart/signed; boundary=b\r\n",
        b"Content-Type: application/pkcs7-mime\r\n",
        b"DKIM-Signature: v=1; bh=x\r\nContent-Type: text/plain\r\n",
    ],
)
def test_what_is_signed_keeps_its_octets(head: bytes) -> None:
    body = "\r\n--b\r\n\r\nPümpe\r\n--b--\r\n".encode()
    assert sent(head + body, sevenbit=True).endswith(body)


def test_a_body_of_ascii_stays_though_the_header_is_not() -> None:
    data = sent("Subject: Störung\r\n\r\na = b\r\n".encode(), sevenbit=True)
    assert data.endswith(b"\r\n\r\na = b\r\n")
    assert b"Content-Transfer-Encoding" not in data


def test_memory_does_not_grow_with_the_mail() -> None:
    chunk = ("ä" * 38 + "\r\n").encode() * 840
    for head in (
        b"\r\n",
        b"Content-Type: a/b\r\n\r\n",
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n",
    ):
        mail = complete(info(), chain([head], repeat(chunk, 100)), sevenbit=True)
        tracemalloc.start()
        assert sum(map(len, mail)) > 100 * len(chunk)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 3_000_000


@pytest.mark.parametrize(
    "text",
    [
        b"--\n" * 100000,
        b"--" * 150000,
        b"\n--b" * 60000,
        b"--b\n" + b"A: b\n" * 50000,
        b"--b\n" + b"A: b" * 50000,
        b"--b\nContent-Type: multipart/mixed; boundary=b\n\n" * 6000,
        b"--b\nContent-Type: multipart/mixed;" + b" boundary" * 7000 + b"\n\n",
        b'--b\nContent-Type: a/b; name="\xe4' + b'; a="\xe4' * 8000 + b"\n\n",
        b"\xe4" * 300000,
    ],
    ids=lambda text: repr(text[:24]),
)
@pytest.mark.parametrize("size", [700, 65536])
def test_no_input_takes_quadratic_time(text: bytes, size: int) -> None:
    recoder = SevenBit(b"multipart/mixed; boundary=b", b"")
    started = time.process_time()
    out = [recoder.feed(text[i : i + size]) for i in range(0, len(text), size)]
    assert b"".join([*out, recoder.finish()]).isascii()
    assert time.process_time() - started < 2
