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
        (b"550-no such\r\n550 5.1.1 user\r\n", 550, "5.1.1", "no such user"),
        (b"550 4.1.1 class differs\r\n", 550, "", "4.1.1 class differs"),
        (b"535 5.7.8\r\n", 535, "5.7.8", ""),
        (b"250 2.0.0000 x\r\n", 250, "", "2.0.0000 x"),
        (b"250 \x1b[31mred\xff\r\n", 250, "", "?[31mred\ufffd"),
        # However odd the text, the code counts: whoever says 250 to the end of a message has taken it.
        (b"250ok\r\n", 250, "", "ok"),
        (b"250\tok\r\n", 250, "", "ok"),
        (b"\r\n250 ok\r\n", 250, "", "ok"),
        (b"250-hello\r\nworld\r\n\r\n250 ok\r\n", 250, "", "hello world ok"),
        (b"250-\0\r\r\n250 \0\r\n", 250, "", "? ?"),
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
        b"2500\r\n",
        b"\x15\x03\x01\x00\x02\x02F\n",
        b"2" * (MAX_LINE + 1),
    ],
)
def test_what_is_no_reply_is_garbage(wire: bytes) -> None:
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


@pytest.mark.parametrize(
    "wire",
    [
        b"250 " + b"x" * 10 * MAX_LINE + b"\r\n",
        b"250-" + b"x" * 10 * MAX_LINE + b"\r\n250 ok\r\n",
        b"250-x\r\n" * 10 * MAX_LINES + b"250 ok\r\n",
    ],
)
@pytest.mark.parametrize("piece", [7, 5000, 10**6])
def test_a_reply_of_any_length_is_read_to_its_end_and_little_of_it_kept(wire: bytes, piece: int) -> None:
    reader = Reader()
    read = []
    for at in range(0, len(wire), piece):
        assert not read, "it is not over yet"
        reader.feed(wire[at : at + piece])
        read += [reply for reply in [reader.next()] if reply]
        assert len(reader._buffer) <= MAX_LINE + piece
    ((code, lines),) = read
    assert code == 250 and len(lines) <= MAX_LINES and max(map(len, lines)) <= MAX_LINE
    reader.feed(b"550 no\r\n")
    assert reader.next() == (550, [b"no"])


@pytest.mark.parametrize(
    ("wire", "code"), [(b"250 2.0.0 Ok: que", 250), (b"250", 250), (b"250-ok\r\n25", 250), (b"25", 0), (b"", 0)]
)
def test_of_a_reply_without_an_end_the_code_may_be_known(wire: bytes, code: int) -> None:
    reader = Reader()
    reader.feed(wire)
    assert reader.next() is None
    begun = reader.begun()
    assert (begun[0] if begun else 0) == code
