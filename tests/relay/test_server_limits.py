"""The SMTP server session by example: what it refuses for its size, length or number."""

from __future__ import annotations

import pytest

from mailrelay.smtp import replies
from tests.relay.server_loop import VERDICT, codes, connect

ENVELOPE = b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n"
GO = ENVELOPE + b"DATA\r\n"


def test_a_message_too_large_is_refused_early_by_its_size_and_late_by_its_bytes() -> None:
    loop = connect(max_message_size=1000)
    assert loop.send(b"MAIL FROM:<a@b> SIZE=1001\r\n").startswith(b"552 5.3.4 ")
    assert codes(loop.send(b"MAIL FROM:<a@b> SIZE=1000\r\nRSET\r\n" + GO)) == [250, 250, 250, 250, 354]
    loop.send(b"x" * 98 + b"\r\n")
    loop.send((b"x" * 98 + b"\r\n") * 9)
    assert loop.aborted == 0
    assert loop.send(b"y") == b""
    assert loop.aborted == 1 and loop.session.in_data
    assert loop.send(b"MAIL FROM:<evil@b>\r\n.\r\n").startswith(b"552 5.3.4 ")
    loop.send(GO + (b"x" * 98 + b"\r\n") * 10 + b".\r\n")
    assert [len(message.content) for message in loop.messages] == [1000]


def test_a_message_with_no_room_left_is_for_later() -> None:
    loop = connect()
    loop.session.commands.room = 50
    assert loop.send(b"MAIL FROM:<a@b> SIZE=51\r\n").startswith(b"452 4.3.1 ")
    assert loop.send(GO + b"x" * 51 + b"\r\n.\r\n").endswith(replies.NO_ROOM.wire())
    loop.send(GO + b"Subject: x\r\n")
    loop.session.commands.room = 0  # others have filled the disk meanwhile
    loop.send(b"more\r\n")
    assert (loop.aborted, loop.session.in_data) == (2, True)
    assert loop.send(b".\r\n") == replies.NO_ROOM.wire()
    assert codes(loop.send(b"MAIL FROM:<a@b>\r\n")) == [452]
    loop.session.commands.room = 100
    loop.send(ENVELOPE)
    loop.session.commands.room = 0
    assert codes(loop.send(b"DATA\r\n")) == [452]


def test_recipients_over_the_limit_are_for_a_further_mail() -> None:
    loop = connect(max_recipients=3, max_useless_commands=5)
    loop.send(b"MAIL FROM:<>\r\n" + b"".join(b"RCPT TO:<r%d@d>\r\n" % n for n in range(30)))
    assert codes(loop.replies) == [250] * 4 + [452] * 27
    assert b"452 4.5.3 " in loop.replies
    assert loop.send(b"DATA\r\n.\r\n").endswith(VERDICT)
    assert loop.messages[0].recipients == [b"r0@d", b"r1@d", b"r2@d"]


def test_recipients_over_the_limit_are_not_answered_for_ever() -> None:
    loop = connect(max_recipients=1)
    loop.send(b"MAIL FROM:<>\r\n" + b"RCPT TO:<same@d>\r\n" * 2000)
    assert loop.closed and codes(loop.replies)[-1] == 421


def test_a_mail_loop_is_cut() -> None:
    received = b"Received: from a by b\r\n"
    for count, folded, code in [(99, b"", 250), (100, b"", 554), (99, b"\tfor Received: x\r\n", 250)]:
        loop = connect()
        loop.send(GO + received * count + folded)
        assert loop.aborted == (code == 554)
        assert codes(loop.send(b"Subject: x\r\n\r\n" + received * 200 + b".\r\n")) == [code]
    assert (
        connect()
        .send(GO + received * 99 + b"RECEIVED: x\r\n\r\n.\r\n")
        .endswith(b"554 5.4.6 This message came through 100 relays: it is in a loop\r\n")
    )


def test_received_in_the_body_is_no_loop() -> None:
    for start in (b"\r\n", b"\n", b"Alarm on pump 3\r\n", b" folded nothing\r\n"):
        loop = connect()
        assert loop.send(GO + start + b"Received: x\r\n" * 200 + b".\r\n").endswith(VERDICT), start


def test_a_header_has_a_length() -> None:
    field = b"X-Filler: " + b"x" * 88 + b"\r\n"
    for count, code in [(10, 250), (11, 552)]:
        for tail in (b"\r\nbody\r\n", b""):
            loop = connect(max_header_length=1000)
            assert codes(loop.send(GO + field * count + tail + b".\r\n"))[-1] == code
    loop = connect(max_header_length=1000)
    assert loop.send(GO + b"Subject: x\r\n" + b"no field here\r\n" * 500 + b".\r\n").endswith(VERDICT)
    assert loop.send(GO + b"a line of text " * 500 + b": x\r\n.\r\n").endswith(VERDICT)


def test_a_line_has_a_length() -> None:
    for chunks in ([b"x" * 1000], [b"x" * 10] * 100, [b"ok\r\n" * 700 + b"x" * 999, b"x"]):
        loop = connect(max_line_length=1000)
        loop.send(GO + b"\r\n")
        for chunk in chunks:
            loop.send(chunk)
        assert loop.send(b"\n" + b"z" * 1000 + b"\n\r\n.\r\n") == VERDICT
        loop.send(GO + b"\r\n")
        for chunk in chunks:
            loop.send(chunk)
        loop.send(b"x")
        assert loop.aborted == 1
        assert loop.send(b"\r\n.\r\n").startswith(b"554 5.6.0 ")


def test_a_command_line_has_a_length_and_its_rest_is_swallowed() -> None:
    for chunks in ([b"x" * 3000 + b"\r\nNOOP\r\n"], [b"x" * 1024] * 3 + [b"MAIL FROM:<a@b>\r", b"\nNOOP\r\n"]):
        loop = connect()
        for chunk in chunks:
            loop.send(chunk)
            assert loop.session.buffered <= 2048
        assert loop.replies == replies.TOO_LONG.wire() + replies.OK.wire()
    assert codes(connect().send(b"NOOP " + b"x" * 2042 + b"\r\n")) == [250]
    assert codes(connect().send(b"NOOP " + b"x" * 2043 + b"\r\n")) == [500]


@pytest.mark.parametrize(
    "useless",
    [b"NOOP", b"RSET", b"VRFY x", b"HELP", b"what", b"", b"EHLO x", b"MAIL", b"RCPT TO:<a@b>", b"STARTTLS", b"AUTH x"],
)
def test_commands_that_lead_nowhere_end(useless: bytes) -> None:
    loop = connect(max_useless_commands=20)
    loop.send(b"HELO x\r\n")
    loop.send((useless + b"\r\n") * 20)
    assert not loop.closed
    assert loop.send(useless + b"\r\n").startswith(b"421 4.7.0 ")
    assert loop.closed and loop.session.commands.closing


def test_a_mail_makes_good_for_commands_before_it() -> None:
    loop = connect(max_useless_commands=3)
    for _ in range(10):
        loop.send(b"RSET\r\nNOOP\r\n\r\n" + GO + b"x\r\n.\r\n")
    assert len(loop.messages) == 10 and not loop.closed
    loop.send((b"MAIL FROM:<a@b>\r\nRSET\r\n") * 4)
    assert loop.closed


def test_progress_tells_who_gets_on() -> None:
    loop = connect()
    loop.send(b"NOOP\r\nRSET\r\n\r\nwhat\r\nVRFY x\r\n")
    assert loop.session.commands.progress == 0
    loop.send(b"EHLO x\r\n" + GO)
    assert loop.session.commands.progress == 4
    loop.send(b"x" * 100)
    assert loop.session.commands.progress == 104
