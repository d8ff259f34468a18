"""The end of data by example: every mixture of line ends around a dot, and what may follow it.

Why it matters is in docs/dev/openwrt-facts.md, "The end of data".
"""

from __future__ import annotations

import itertools

import pytest

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


@pytest.mark.parametrize(
    "dot", [b"\n.\n", b"\n.\r\n", b"\n.\r", b"\r.\n", b"\r.\r\n", b"\r.\r", b"\r\n.\n", b"\r\n.\r"]
)
def test_after_a_crlf_line_only_crlf_dot_crlf_ends(dot: bytes) -> None:
    for cut in range(len(dot) + 1):
        loop = in_data(CRLF_GO, b"one\r\ntwo" + dot[:cut])
        loop.send(dot[cut:])
        assert loop.session.in_data and not loop.session.ambiguous_end
        assert loop.quiet() == b""
        loop.send(b"three\r\n.\r\n")
        assert contents(loop) == [b"one\r\ntwo" + dot + b"three\r\n"]


ODD = [b"\n.\r\n", b"\n.\r", b"\r.\n", b"\r.\r\n", b"\r.\r"]
ODD_START = {CRLF_GO: [b".\n", b".\r"], LF_GO: [b".\r\n", b".\r"]}
DOUBTS = [(go, b"one\ntwo" + dot, b"one\ntwo" + dot[:1]) for go in (CRLF_GO, LF_GO) for dot in ODD] + [
    (go, dot, b"") for go, dots in ODD_START.items() for dot in dots
]


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
