"""The end of data by example: every mixture of line ends around a dot, and what may follow it.

Why it matters is in docs/dev/openwrt-facts.md, "The end of data".
"""

from __future__ import annotations

import itertools

import pytest

from mailrelay.smtp import data
from tests.relay.server_loop import VERDICT, Loop, connect

CRLF_GO = b"EHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n"
LF_GO = CRLF_GO.replace(b"\r\n", b"\n")
SECOND = b"MAIL FROM:<evil@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nsmuggled\r\n.\r\n"


def in_data(go: bytes, content: bytes = b"") -> Loop:
    loop = connect()
    loop.send(go)
    if content:
        loop.send(content)
    return loop


def contents(loop: Loop) -> list[bytes]:
    return [message.content for message in loop.messages]


MIXED = [b"\n.\n", b"\n.\r\n", b"\n.\r", b"\r.\n", b"\r.\r\n", b"\r.\r", b"\r\n.\n", b"\r\n.\r"]
MORE_CR = [b"\r\r\n.\r\r\n", b"\r\n.\r\r\n", b"\n.\r\r\n", b"\r\r\r\n.\r\r\r\n", b"\n.\n\r\n", b"\n.\r\n\r\n"]


@pytest.mark.parametrize("dot", MIXED + MORE_CR)
def test_after_a_crlf_line_only_crlf_dot_crlf_ends_while_something_follows(dot: bytes) -> None:
    for cut in range(len(dot) + 1):
        for more in (b"three", b"Q", b"\r\nquit", b"QUIT\r\nRSET\r\n", SECOND.replace(b"\r\n.\r\n", b"\r\n")):
            loop = in_data(CRLF_GO, b"one\r\ntwo" + dot[:cut])
            loop.send(dot[cut:])
            loop.send(more)
            assert loop.session.in_data and not loop.session.ambiguous_end
            assert loop.quiet() == b""
            loop.send(b"\r\n.\r\n")
            assert contents(loop) == [b"one\r\ntwo" + dot + more + b"\r\n"]


ODD = [b"\n.\r\n", b"\n.\r", b"\r.\n", b"\r.\r\n", b"\r.\r"]
ODD_START = {CRLF_GO: [b".\n", b".\r", b".\r\r\n"], LF_GO: [b".\r\n", b".\r"]}
DOUBTS = (
    [(go, b"one\ntwo" + dot, b"one\ntwo" + dot[:1]) for go in (CRLF_GO, LF_GO) for dot in ODD]
    + [(go, dot, b"") for go, dots in ODD_START.items() for dot in dots]
    + [(go, b"a\r\n" + dot, b"a\r\n" + dot[: dot.index(b".")]) for go in (CRLF_GO, LF_GO) for dot in MIXED + MORE_CR]
)


@pytest.mark.parametrize(("go", "content", "kept"), DOUBTS)
def test_an_odd_lone_dot_ends_if_nothing_follows_and_only_then(go: bytes, content: bytes, kept: bytes) -> None:
    for pieces in ([content], [content[:-2], content[-2:]], [bytes([one]) for one in content]):
        loop = in_data(go)
        for piece in pieces:
            assert loop.send(piece) == b""
        assert loop.session.ambiguous_end
        assert loop.quiet() == VERDICT
        assert contents(loop) == [kept]
        assert not loop.session.ambiguous_end and loop.quiet() == b""
        assert loop.send(SECOND).startswith(b"421 ") and loop.closed and loop.begun == 1

        loop = in_data(go)
        for piece in pieces:
            loop.send(piece)
        loop.send(b"x")
        assert not loop.session.ambiguous_end and loop.quiet() == b""
        loop.send(b"\r\n.\r\n")
        assert contents(loop) == [content + b"x\r\n"]


@pytest.mark.parametrize(("go", "content", "kept"), DOUBTS)
@pytest.mark.parametrize("good_bye", [b"QUIT\r\n", b"quit\n", b"\r\nQuit\r\r\n\n"])
def test_quit_after_an_odd_lone_dot_is_the_last_word(go: bytes, content: bytes, kept: bytes, good_bye: bytes) -> None:
    """No second message can come of it: it says that the client had nothing more to send, also if it is gone."""
    for leave in (Loop.quiet, Loop.disconnect):
        for pieces in ([content + good_bye], [content, good_bye], [bytes([one]) for one in content + good_bye]):
            loop = in_data(go)
            for piece in pieces:
                assert loop.send(piece) == b""
            assert leave(loop) == VERDICT + b"221 2.0.0 Good-bye\r\n"
            assert (contents(loop), loop.closed, loop.aborted) == ([kept], True, 0)


def test_what_is_held_back_is_short() -> None:
    """So that a stream of line ends costs neither memory nor time; what is longer is content."""
    end = data.EndOfData(crlf=True)
    content = b".\n" + b"\r\n" * 100_000
    found = b"".join([end.feed(bytes([one]))[0] for one in content])
    assert (found, end.ambiguous) == (content, False)


@pytest.mark.parametrize(("go", "content", "kept"), DOUBTS)
def test_an_odd_lone_dot_does_not_end_for_a_client_that_left(go: bytes, content: bytes, kept: bytes) -> None:
    loop = in_data(go, content)
    loop.disconnect()
    assert (loop.messages, loop.aborted, loop.quiet()) == ([], 1, b"")


def test_every_cut_of_every_short_content_agrees() -> None:
    for length in range(1, 6):
        for content in itertools.product((b".", b"\r", b"\n", b"x"), repeat=length):
            whole = b"".join(content)
            for go in (CRLF_GO, LF_GO):
                expected = in_data(go, whole).outcome()
                loop = in_data(go)
                for piece in content:
                    loop.send(piece)
                assert loop.outcome() == expected, (go, whole)
