"""A smarthost's reply as it is read: what it says to people, and what is no reply."""

from __future__ import annotations

import pytest

from mailrelay.smtp.reply import Reply
from mailrelay.smtp.reply_reader import MAX_LINE, MAX_LINES, Garbage, Reader, as_reply


@pytest.mark.parametrize(
    ("wire", "code", "enhanced", "text"),
    [
        (b"250 ok\r\n", 250, "", "ok"),
        (b"250\r\n", 250, "", ""),
        (b"250 ok\n", 250, "", "ok"),
        (b"550 5.1.1 no such user\r\n", 550, "5.1.1", "no such user"),
        (b"550-5.1.1 no such\r\n550 5.1.1 user\r\n", 550, "5.1.1", "no such user"),
        (b"550 4.1.1 class differs\r\n", 550, "", "4.1.1 class differs"),
        (b"535 5.7.8\r\n", 535, "5.7.8", ""),
        (b"250 2.0.0000 x\r\n", 250, "", "2.0.0000 x"),
        (b"250 \x1b[31mred\xff\r\n", 250, "", "?[31mred\ufffd"),
    ],
)
def test_a_reply_says_code_enhanced_code_and_printable_text(wire: bytes, code: int, enhanced: str, text: str) -> None:
    reader = Reader()
    reader.feed(wire)
    read = reader.next()
    assert read
    reply = as_reply(*read)
    assert (reply.code, reply.enhanced, reply.text) == (code, enhanced, text)
    assert reader.next() is None


@pytest.mark.parametrize(
    "wire",
    [
        b"hello\r\n",
        b"99 x\r\n",
        b"600 x\r\n",
        b"150 x\r\n",
        b"250x\r\n",
        b"\r\n",
        b"\x15\x03\x01\x00\x02\x02F\n",
        b"2" * (MAX_LINE + 1),
        b"250-" + b"x" * MAX_LINE + b"\r\n",
        b"250-x\r\n" * MAX_LINES,
    ],
)
def test_what_is_no_reply_or_too_long_is_garbage(wire: bytes) -> None:
    reader = Reader()
    reader.feed(wire)
    with pytest.raises(Garbage):
        reader.next()


def test_a_reply_of_ours_reads_back_as_it_was_meant() -> None:
    reader = Reader()
    reader.feed(Reply(550, "5.1.1", "No such\nuser").wire() + Reply(334, "", "").wire())
    assert [str(as_reply(*read)) for read in (reader.next(), reader.next()) if read] == [
        "550 5.1.1 No such user",
        "334",
    ]


def test_the_text_for_people_is_bounded() -> None:
    assert len(as_reply(550, [b"x" * 4000] * 100).text) <= 1000
