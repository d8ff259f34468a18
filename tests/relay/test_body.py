"""What goes upstream is CRLF lines of at most 998 octets, dot-stuffed, with no NUL, bare CR or LF, however it came."""

from __future__ import annotations

import itertools
import re
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailrelay.mail.body import MAX_LINE, Body


def wire(*chunks: bytes) -> bytes:
    body = Body()
    return b"".join([body.feed(chunk) for chunk in chunks]) + body.finish()


def cuts(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


# Octets that matter, long runs of those that make lines too long, and any others.
raw = st.lists(
    st.one_of(
        st.sampled_from(
            [
                b"\r",
                b"\n",
                b"\r\n",
                b"\r\r\n",
                b".",
                b"..",
                b"\n.",
                b"\n..",
                b"\r\n.\r\n",
                b"\0",
                b"a",
                b"\xc3",
                b"\xa4",
            ]
        ),
        st.builds(
            lambda piece, count: piece * count,
            st.sampled_from([b"x", b"\xc3\xa4", b"\x80", b"y" * 76 + b"\r\n"]),
            st.integers(1, 1100),
        ),
        st.binary(max_size=8),
    ),
    max_size=25,
).map(b"".join)


@pytest.mark.parametrize(
    ("received", "sent"),
    [
        (b"", b""),
        (b"on\r\n", b"on\r\n"),
        (b"on", b"on\r\n"),
        (b"a\nb\n", b"a\r\nb\r\n"),
        (b"a\rb\r", b"a\r\nb\r\n"),
        (b"a\r\r\nb\r\n", b"a\r\nb\r\n"),
        (b"a\n\rb\r\n", b"a\r\n\r\nb\r\n"),
        (b"a\r\r\r\nb\r\n", b"a\r\n\r\nb\r\n"),
        (b"a\r\r", b"a\r\n\r\n"),
        (b"a\0b\0\r\0\n", b"ab\r\n"),
        (b".foo\r\n", b"foo\r\n"),
        (b"..foo\r\n", b"..foo\r\n"),
        (b"a\r\n.\r\nb\r\n", b"a\r\n..\r\nb\r\n"),
        (b"a\r\n.\nb\r\n", b"a\r\n..\r\nb\r\n"),
        (b"a\n.\rb\r\n", b"a\r\n..\r\nb\r\n"),
        (b"a\r.b\r\n", b"a\r\n..b\r\n"),
        (b".", b"..\r\n"),
        (b"a\n.", b"a\r\n..\r\n"),
        (b"a\n.\r", b"a\r\n..\r\n"),
        (b"a\n.\0\r\n", b"a\r\n..\r\n"),
        (b"a\n.\0b\r\n", b"a\r\nb\r\n"),
    ],
)
def test_line_ends_nul_and_dots(received: bytes, sent: bytes) -> None:
    assert wire(received) == sent
    assert wire(*[received[i : i + 1] for i in range(len(received))]) == sent


@given(raw, st.lists(st.integers(0), max_size=8))
def test_the_same_bytes_give_the_same_output_however_they_are_cut(data: bytes, places: list[int]) -> None:
    assert wire(*cuts(data, places)) == wire(data)


@pytest.mark.parametrize(
    "flaw",
    [b"a\0b", b"a\nb\rc", b"a\rb\nc", b"\r", b"\n", b"x" * 999, b".a", b".", b"..\r\n.a", b"..", b"..." + b"x" * 998],
)
def test_a_flaw_among_clean_lines_is_mended(flaw: bytes) -> None:
    clean = b"clean\r\n" * 200
    mended = wire(flaw + b"\r\n")
    assert wire(clean + flaw + b"\r\n" + clean) == clean + mended + clean
    assert wire(b"\r\n" + flaw + b"\r\n" + clean) == b"\r\n" + mended + clean


@given(raw)
def test_nothing_but_clean_stuffed_lines_goes_out(data: bytes) -> None:
    sent = wire(data)
    assert b"\0" not in sent
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n", sent)
    assert sent == b"" or sent.endswith(b"\r\n")
    for line in sent.split(b"\r\n"):
        assert not line.startswith(b".") or line.startswith(b"..")
        assert len(line.removeprefix(b".")) <= MAX_LINE


@given(raw)
def test_what_is_clean_stays_as_it_is(data: bytes) -> None:
    clean = wire(data)
    assert wire(clean) == clean


@given(raw)
def test_no_octet_is_lost_but_nul_and_stuffing(data: bytes) -> None:
    def content(stuffed: bytes) -> bytes:
        return re.sub(rb"[\r\n.\0]", b"", stuffed)

    assert content(wire(data)) == content(data)


@given(st.text(alphabet="aä€😀", min_size=900, max_size=4000))
def test_a_long_line_is_never_cut_inside_a_character(text: str) -> None:
    sent = wire(text.encode() + b"\r\n")
    lines = sent.split(b"\r\n")
    assert "".join([line.decode() for line in lines]) == text
    assert all(len(line) > MAX_LINE - 4 for line in lines[:-2])


def test_long_lines_that_are_not_utf8_are_cut_all_the_same() -> None:
    assert wire(b"\x80" * 2000 + b"\r\n") == b"\x80" * 998 + b"\r\n" + b"\x80" * 998 + b"\r\n" + b"\x80" * 4 + b"\r\n"


def test_a_dot_that_a_cut_puts_first_is_stuffed() -> None:
    assert wire(b"x" * 998 + b".\r\n") == b"x" * 998 + b"\r\n..\r\n"


def test_a_line_of_998_octets_is_left_alone_stuffed_or_not() -> None:
    for line in (b"x" * 998 + b"\r\n", b".." + b"x" * 997 + b"\r\n"):
        clean = b"a\r\n" + line * 3
        assert wire(clean) == clean


def test_a_mail_of_any_size_takes_the_memory_of_a_chunk() -> None:
    for chunk in (b"x" * 65536, (b"x" * 76 + b"\r\n") * 840, b"\r" * 32768, b"\n.\n" * 10000, b"\0" * 65536):
        body = Body()
        tracemalloc.start()
        for _ in range(10_000_000 // len(chunk)):
            body.feed(chunk)
        body.finish()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 800_000
