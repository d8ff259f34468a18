"""The SMTP server session by example: what the machines on a LAN say, and what they read."""

from __future__ import annotations

import re
import smtplib
import socket
import subprocess
import sys
import threading

import pytest

from mailrelay.smtp import replies, server
from mailrelay.smtp.reply import Reply
from tests.relay.running import SOURCE
from tests.relay.server_loop import QUEUED, VERDICT, codes, connect

ENVELOPE = b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n"
GO = ENVELOPE + b"DATA\r\n"


# The usual session


def test_a_session_in_lockstep() -> None:
    loop = connect()
    assert loop.session.greeting() == b"220 relay.lan ESMTP mailrelay\r\n"
    assert codes(loop.send(b"EHLO plc.lan\r\n")) == [250]
    assert codes(loop.send(b"MAIL FROM:<a@b.example> SIZE=100 BODY=8BITMIME\r\n")) == [250]
    assert codes(loop.send(b"RCPT TO:<c@d.example>\r\n")) == [250]
    assert codes(loop.send(b"DATA\r\n")) == [354]
    assert loop.session.in_data
    assert loop.send(b"Subject: x\r\n\r\n..hidden\r\n.\r\n") == VERDICT
    assert codes(loop.send(b"QUIT\r\n")) == [221]
    assert loop.closed
    (message,) = loop.messages
    assert (message.sender, message.recipients) == (b"a@b.example", [b"c@d.example"])
    assert (message.smtputf8, message.eightbit) == (False, True)
    assert message.content == b"Subject: x\r\n\r\n..hidden\r\n"
    assert loop.session.commands.helo == b"plc.lan"


def test_ehlo_offers_what_is_kept_and_nothing_else() -> None:
    assert connect().send(b"EHLO x\r\n") == (
        b"250-relay.lan\r\n250-PIPELINING\r\n250-SIZE 26214400\r\n250-ENHANCEDSTATUSCODES\r\n"
        b"250-8BITMIME\r\n250 SMTPUTF8\r\n"
    )


def test_login_is_offered_where_one_is_set() -> None:
    assert b"250-AUTH LOGIN PLAIN\r\n" in connect(login=server.ANY_LOGIN).send(b"EHLO x\r\n")
    assert b"250-AUTH LOGIN PLAIN\r\n" in connect(login=(b"u", b"p")).send(b"EHLO x\r\n")


def test_size_is_what_fits_now() -> None:
    loop = connect()
    loop.session.commands.room = 1000
    assert b"250-SIZE 1000\r\n" in loop.send(b"EHLO x\r\n")
    loop.session.commands.room = 0  # "SIZE 0" would mean no limit
    assert b"250-SIZE\r\n" in loop.send(b"EHLO x\r\n")


def test_pipelined_commands_get_one_reply_event_after_begin() -> None:
    session = connect().session
    events = session.receive(b"EHLO x\r\n" + GO + b"hello\r\n.\r\n" + GO)
    assert [event[0] for event in events] == [server.BEGIN, server.REPLY, server.DATA, server.END]
    assert codes(events[1][1]) == [250, 250, 250, 354]
    events = session.commit_result(QUEUED)
    assert [event[0] for event in events] == [server.BEGIN, server.REPLY]
    assert events[1][1].startswith(VERDICT)
    assert codes(events[1][1]) == [250, 250, 250, 354]


def test_nothing_is_taken_while_the_verdict_is_out() -> None:
    session = connect().session
    session.receive(GO + b"hello\r\n.\r\n")
    assert session.waiting
    assert session.receive(b"NOOP\r\n") == [] and session.receive(b"QUIT\r\n") == []
    assert session.buffered == 12
    assert session.commit_result(QUEUED) == [
        (server.REPLY, VERDICT + replies.OK.wire() + replies.GOOD_BYE.wire()),
        (server.CLOSE,),
    ]
    assert session.commit_result(QUEUED) == [] and session.receive(b"NOOP\r\n") == []


def test_reply_to_a_refused_commit_is_passed_on_and_the_next_mail_goes() -> None:
    loop = connect()
    loop.verdict = replies.DISK_FULL
    assert loop.send(GO + b"x\r\n.\r\n").endswith(replies.DISK_FULL.wire())
    loop.verdict = QUEUED
    assert loop.send(GO + b"x\r\n.\r\n").endswith(VERDICT)


def test_every_reply_but_hello_and_intermediate_ones_has_an_enhanced_code() -> None:
    found = {name: value for name, value in vars(replies).items() if isinstance(value, Reply)}
    assert len(found) > 50
    for name, reply in found.items():
        assert max(map(len, reply.wire().splitlines())) < 500
        if name not in ("BANNER", "HELO", "EHLO") and reply.code // 100 != 3:
            assert re.fullmatch(rf"{reply.code // 100}\.\d\.\d", reply.enhanced), name


# What the machines say


@pytest.mark.parametrize(
    "line",
    [
        b"MAIL FROM:<a@b.example>",
        b"mail from: <a@b.example>",
        b"MAIL FROM: a@b.example",
        b"MAIL FROM:a@b.example",
        b"  Mail\tFrom :  < a@b.example >  ",
        b"MAIL FROM:<a@b.example>SIZE=5",
        b"MAIL FROM:<a@b.example> AUTH=<> SIZE=5 BODY=7BIT",
        b"MAIL FROM:a@b.example size=5",
        b"MAIL FROM:<a@b.example>\r",
    ],
)
def test_sender_however_it_is_written(line: bytes) -> None:
    loop = connect()
    assert loop.send(line + b"\r\n") == replies.SENDER_OK.wire()
    loop.send(b"RCPT TO:<c@d.example>\r\nDATA\r\nx\r\n.\r\n")
    assert loop.messages[0].sender == b"a@b.example"


@pytest.mark.parametrize(
    ("line", "address"),
    [
        (b"RCPT TO:<root>", b"root"),
        (b"rcpt to: root", b"root"),
        (b"RCPT TO:<ilo.server.@d.example>", b"ilo.server.@d.example"),
        (b"RCPT TO:<a+b=c'd@sub.d-e.example.>", b"a+b=c'd@sub.d-e.example."),
        (b'RCPT TO:<"a..b"@d.example>', b'"a..b"@d.example'),
        (b"RCPT TO:<a@[192.168.1.5]>", b"a@[192.168.1.5]"),
        (b"RCPT TO:<a@[IPv6:fe80::1]>", b"a@[IPv6:fe80::1]"),
    ],
)
def test_recipients_that_are_taken_as_they_are(line: bytes, address: bytes) -> None:
    loop = connect()
    loop.send(b"MAIL FROM:<>\r\n" + line + b"\r\nDATA\r\nx\r\n.\r\n")
    assert loop.messages[0].recipients == [address]
    assert loop.messages[0].sender == b""


@pytest.mark.parametrize(
    "address",
    [
        b"",
        b"@",
        b"a@",
        b"@d.example",
        b"a b@d.example",
        b"a@d.ex ample",
        b"a@d\0.example",
        b"a\rb@d.example",
        b"a\x1bb@d.example",
        b"a\x7f@d.example",
        b"a@b@d.example",
        b"a%b@d.example",
        b"a%d.example",
        b"host!a@d.example",
        b"@a,@b:c@d.example",
        b"@a:c@d.example",
        b"a@d.example,b@d.example",
        b"a@d.example;b@d.example",
        b"<a@d.example",
        b'"a b"@d.example',
        b'"a@b"@d.example',
        b'"a%b"@d.example',
        b'""@d.example',
        b"a(b)@d.example",
        b"a\\b@d.example",
        b"a@.d.example",
        b"a@d..example",
        b"a@d_/example",
        b"a@[]",
        b"a@[1.2.3.4%eth0]",
        b"a@[1.2.3.4",
        b"a" * 320 + b"@d.example",
    ],
)
def test_addresses_that_are_refused_for_both_sides(address: bytes) -> None:
    loop = connect()
    if address:
        assert codes(loop.send(b"MAIL FROM:<%s>\r\n" % address)) == [553]
    loop.send(b"MAIL FROM:<>\r\n")
    assert codes(loop.send(b"RCPT TO:<%s>\r\n" % address)) == [553]
    assert codes(loop.send(b"DATA\r\n")) == [503]


def test_naming_a_sender_again_and_again_is_no_progress() -> None:
    loop = connect()
    progress = None
    for _ in range(20):
        reply = loop.send(b"MAIL FROM:<a@d.example>\r\n")
        assert progress in (None, loop.session.commands.progress) and reply.startswith(b"250")
        progress = loop.session.commands.progress
    for _ in range(5):
        reply = loop.send(b"MAIL FROM:<a@d.example>\r\n")
    assert loop.session.commands.closing and loop.session.commands.progress == progress


def test_a_recipient_that_was_forgotten_is_asked_for() -> None:
    loop = connect()
    loop.send(b"MAIL FROM:<>\r\n")
    assert loop.send(b"rcpt to:\r\n").startswith(b"501 5.5.4 Write RCPT TO:<")


def test_non_ascii_addresses_need_smtputf8() -> None:
    loop = connect()
    name = "müller@bücher.example".encode()
    assert loop.send(b"MAIL FROM:<%s>\r\n" % name).startswith(b"553 5.6.7 ")
    loop.send(b"MAIL FROM:<>\r\n")
    assert loop.send(b"RCPT TO:<%s>\r\n" % name).startswith(b"553 5.6.7 ")
    loop.send(b"RSET\r\nMAIL FROM:<%s> SMTPUTF8\r\nRCPT TO:<%s>\r\nDATA\r\nx\r\n.\r\n" % (name, name))
    assert (loop.messages[0].sender, loop.messages[0].recipients) == (name, [name])
    assert loop.messages[0].smtputf8
    for bad in (b"m\xfcller@b.example", "a\u2028b@c.example".encode(), "a\x85b@c.example".encode()):
        assert codes(loop.send(b"MAIL FROM:<%s> SMTPUTF8\r\n" % bad)) == [553]


@pytest.mark.parametrize(
    "hello", [b"HELO\r\n", b"HELO \r\n", b"EHLO me@example.org\r\n", b"helo [1.2.3.4]\r\n", b"\r\n"]
)
def test_any_hello_or_none_will_do(hello: bytes) -> None:
    loop = connect()
    assert set(codes(loop.send(hello))) <= {250}
    assert loop.send(GO + b"x\r\n.\r\n").endswith(VERDICT)


def test_what_hello_names_reaches_nobody_raw() -> None:
    loop = connect()
    loop.send(b"EHLO a\x1b[2J\rb\0c d" + b"e" * 500 + b"\r\n")
    assert loop.session.commands.helo.startswith(b"a?[2J?b?c?deee")
    assert len(loop.session.commands.helo) == 255


def test_everything_in_one_write_with_bare_line_feeds() -> None:
    loop = connect()
    loop.send(b"HELO plc\nMAIL FROM: a@b\nRCPT TO: c@d\nDATA\nSubject: x\n\nhi\n.\nQUIT\n")
    assert [message.content for message in loop.messages] == [b"Subject: x\n\nhi\n"]
    assert codes(loop.replies) == [250, 250, 250, 354, 250, 221]
    assert loop.closed


def test_all_other_commands_are_answered() -> None:
    loop = connect()
    for command, code in [
        (b"NOOP ignored", 250),
        (b"RSET", 250),
        (b"VRFY root", 252),
        (b"HELP", 214),
        (b"EXPN list", 502),
        (b"STARTTLS", 502),
        (b"TURN", 500),
        (b"MAIL", 501),
        (b"MAIL FROM", 501),
        (b"MAIL FROM <a@b>", 501),
        (b"MAIL FROM:<a@b", 501),
        (b"MAIL TO:<a@b>", 501),
        (b"MAIL FROM:<a@b> RET=FULL", 555),
        (b"MAIL FROM:<a@b> SIZE=x", 555),
        (b"MAIL FROM:<a@b> BODY=BINARYMIME", 555),
        (b"MAIL FROM:Pump 3", 555),
        (b"AUTH LOGIN", 502),
    ]:
        assert codes(loop.send(command + b"\r\n")) == [code], command
    loop.send(b"MAIL FROM:<a@b>\r\n")
    assert codes(loop.send(b"RCPT TO:<a@b> NOTIFY=NEVER\r\n")) == [555]
    assert codes(loop.send(b"RCPT FROM:<a@b>\r\n")) == [501]


def test_order_of_commands_is_rfc_5321s() -> None:
    loop = connect()
    steps: list[tuple[bytes, int]] = [
        (b"RCPT TO:<c@d>", 503),
        (b"DATA", 503),
        (b"MAIL FROM:<a@b>", 250),
        (b"DATA", 503),
        (b"MAIL FROM:<a2@b>", 250),  # its only recipient may have been refused
        (b"AUTH LOGIN", 503),
        (b"RCPT TO:<c@d>", 250),
        (b"MAIL FROM:<a3@b>", 503),
        (b"RSET", 250),
        (b"RCPT TO:<c@d>", 503),
        (b"MAIL FROM:<a4@b>", 250),
        (b"RCPT TO:<c@d>", 250),
        (b"EHLO again", 250),
        (b"RCPT TO:<c@d>", 503),
    ]
    for command, code in steps:
        assert codes(loop.send(command + b"\r\n")) == [code], command
    assert loop.begun == 0


def test_each_mail_of_a_session_has_its_own_envelope() -> None:
    loop = connect()
    loop.send(b"MAIL FROM:<a@b> SMTPUTF8 BODY=8BITMIME\r\nRCPT TO:<c@d>\r\nDATA\r\n1\r\n.\r\n")
    loop.send(b"MAIL FROM:<>\r\nRCPT TO:<e@f>\r\nDATA\r\n2\r\n.\r\n")
    assert [(m.sender, m.recipients, m.smtputf8, m.eightbit, m.content) for m in loop.messages] == [
        (b"a@b", [b"c@d"], True, True, b"1\r\n"),
        (b"", [b"e@f"], False, False, b"2\r\n"),
    ]


def test_the_same_recipient_twice_is_one() -> None:
    loop = connect()
    loop.send(b"MAIL FROM:<>\r\nRCPT TO:<c@D.example>\r\nRCPT TO:<c@d.Example>\r\nRCPT TO:<C@d.example>\r\n")
    assert codes(loop.replies) == [250] * 4
    loop.send(b"DATA\r\n.\r\n")
    assert loop.messages[0].recipients == [b"c@D.example", b"C@d.example"]


def test_a_client_gone_after_its_final_dot_still_has_its_mail_and_what_it_pipelined() -> None:
    session = connect().session
    session.receive(GO + b"one\r\n.\r\n" + GO + b"two\r\n.\r\n" + GO + b"thr")
    assert session.disconnected() == []
    events = session.commit_result(QUEUED)
    assert [event[0] for event in events] == [server.BEGIN, server.REPLY, server.DATA, server.END]
    events = session.commit_result(QUEUED)
    assert [event[0] for event in events] == [server.BEGIN, server.REPLY, server.DATA, server.ABORT, server.CLOSE]


def test_a_client_gone_in_its_message_leaves_nothing() -> None:
    loop = connect()
    loop.send(GO + b"half")
    loop.disconnect()
    assert (loop.aborted, loop.messages, loop.closed) == (1, [], True)
    assert loop.session.disconnected() == []
    loop = connect(max_message_size=10)
    loop.send(GO + b"more than ten bytes")
    loop.disconnect()
    assert (loop.aborted, loop.closed) == (1, True)


# Who may


def test_a_stranger_reads_554_and_is_let_go_at_its_first_command() -> None:
    for command, reply in [(b"EHLO x\r\n", replies.NOT_ALLOWED.wire()), (b"QUIT\r\n", replies.GOOD_BYE.wire())]:
        loop = connect(allowed=False)
        assert loop.session.greeting().startswith(b"554 5.7.1 ") and loop.session.commands.closing
        assert loop.send(command + GO) == reply
        assert loop.closed
    loop = connect(allowed=False)
    assert codes(loop.send(b"x" * 5000 + b"\n")) == [554] and loop.closed


def test_no_provider_is_said_plainly() -> None:
    loop = connect(provider=False)
    assert loop.send(b"MAIL FROM:<a@b>\r\n").startswith(b"451 4.3.0 No mail provider is set up on this relay yet; ")


def test_the_owners_refusal_of_a_recipient() -> None:
    refusal = replies.RECIPIENT_NOT_ALLOWED
    loop = connect(refusal=lambda address: refusal if address == b"no@d" else None)
    loop.send(b"MAIL FROM:<>\r\n")
    assert loop.send(b"RCPT TO:<no@d>\r\n") == refusal.wire()
    assert codes(loop.send(b"RCPT TO:<yes@d>\r\nDATA\r\n.\r\n")) == [250, 354, 250]
    assert loop.messages[0].recipients == [b"yes@d"]


def test_a_throttled_client_reads_why() -> None:
    loop = connect()
    loop.session.commands.throttled = replies.TOO_MANY_MESSAGES.fill(5)
    assert loop.send(b"MAIL FROM:<a@b>\r\n") == replies.TOO_MANY_MESSAGES.fill(5).wire()
    loop.session.commands.throttled = None
    assert loop.send(b"MAIL FROM:<a@b>\r\n") == replies.SENDER_OK.wire()


# Content that comes although it was refused


@pytest.mark.parametrize(
    "refused", [b"MAIL FROM:<a%b@c>\r\nRCPT TO:<c@d>\r\nDATA\r\n", b"DATA now\r\n", b"BDAT 99\r\n"]
)
def test_content_after_a_refused_data_is_not_taken_for_commands(refused: bytes) -> None:
    content = b"Subject: x\r\n\r\n" + GO + b"smuggled\r\n.\r\n"
    for first in (b"", b"\r\n", b"x" * 3000 + b"\r\n", b"HELP yourself\r\n"):
        loop = connect()
        loop.send(refused + first + content)
        assert loop.closed and loop.begun == 0
        assert codes(loop.replies)[-1] == 421


def test_a_client_that_waits_goes_on_after_a_refused_data() -> None:
    for command in (b"RSET\r\n", b"NOOP\r\n", b"EHLO x\r\n", b"mail from:<x@y>\r\nRSET\r\n"):
        loop = connect()
        loop.send(b"DATA\r\n" + command)
        assert loop.send(GO + b"x\r\n.\r\n").endswith(VERDICT)


def test_a_browser_is_no_client() -> None:
    loop = connect()
    assert codes(loop.send(b"POST / HTTP/1.1\r\nHost: relay\r\n\r\n" + GO + b"x\r\n.\r\n")) == [421]
    assert loop.closed and loop.begun == 0


# With a client of somebody else's, on a real connection


def test_pythons_own_client_gets_its_mail_through() -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        loop = connect(login=(b"cam", b"secret"))

        def serve() -> None:
            sock = door.accept()[0]
            with sock:
                sock.sendall(loop.session.greeting())
                while not loop.closed:
                    data = sock.recv(65536)
                    sock.sendall(loop.send(data) if data else loop.disconnect())

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        with smtplib.SMTP("127.0.0.1", door.getsockname()[1], timeout=10) as client:
            client.login("cam", "secret")
            text = "Subject: Müller\r\n\r\n.dot\r\n..\r\n.\r\n\r\nend"
            refused = client.sendmail("a@b", ["c@d", "e%f@g"], text.encode(), ["BODY=8BITMIME"])
            assert set(refused) == {"e%f@g"}
            client.sendmail("é@b", ["c@d"], b"", ["SMTPUTF8"])
        thread.join(10)
    first, second = loop.messages
    assert first.content == "Subject: Müller\r\n\r\n..dot\r\n...\r\n..\r\n\r\nend\r\n".encode()
    assert first.recipients == [b"c@d"] and first.eightbit
    assert second.sender == "é@b".encode()


# On the router


def test_resident_modules_import_nothing_that_costs_memory() -> None:
    code = f"import sys; sys.path.insert(0, {str(SOURCE)!r}); old = set(sys.modules); import mailrelay.smtp.server; "
    code += "print(*set(sys.modules) - old)"
    run = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    others = {name for name in run.stdout.split() if name.partition(".")[0] != "mailrelay"}
    assert others <= {"__future__", "_operator", "binascii"}
