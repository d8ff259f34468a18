"""The SMTP server session: its events, what it counts, and what it must not keep. What is said is in dialogues/."""

from __future__ import annotations

import base64
import gc
import re
import smtplib
import socket
import subprocess
import sys
import threading

from mailrelay.smtp import auth, replies, server
from mailrelay.smtp.reply import Reply
from tests.relay.server_loop import QUEUED, VERDICT, Loop, codes, connect
from tests.support.relay import SOURCE

ENVELOPE = b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n"
GO = ENVELOPE + b"DATA\r\n"


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


def test_every_reply_but_hello_and_intermediate_ones_has_an_enhanced_code() -> None:
    found = {name: value for name, value in vars(replies).items() if isinstance(value, Reply)}
    assert len(found) > 50
    for name, reply in found.items():
        assert max(map(len, reply.wire().splitlines())) < 500
        if name not in ("BANNER", "HELO", "EHLO") and reply.code // 100 != 3:
            assert re.fullmatch(rf"{reply.code // 100}\.\d\.\d", reply.enhanced), name


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


def test_what_hello_names_reaches_nobody_raw() -> None:
    loop = connect()
    loop.send(b"EHLO a\x1b[2J\rb\0c d" + b"e" * 500 + b"\r\n")
    assert loop.session.commands.helo.startswith(b"a?[2J?b?c?deee")
    assert len(loop.session.commands.helo) == 255


def test_a_client_gone_after_its_final_dot_still_has_its_mail_and_what_it_pipelined() -> None:
    session = connect().session
    session.receive(GO + b"one\r\n.\r\n" + GO + b"two\r\n.\r\n" + GO + b"thr")
    assert session.disconnected() == []
    events = session.commit_result(QUEUED)
    assert [event[0] for event in events] == [server.BEGIN, server.REPLY, server.DATA, server.END]
    events = session.commit_result(QUEUED)
    assert [event[0] for event in events] == [server.BEGIN, server.REPLY, server.DATA, server.ABORT, server.CLOSE]


def test_recipients_over_the_limit_are_not_answered_for_ever() -> None:
    loop = connect(max_recipients=1)
    loop.send(b"MAIL FROM:<>\r\n" + b"RCPT TO:<same@d>\r\n" * 2000)
    assert loop.closed and codes(loop.replies)[-1] == 421


def test_of_a_command_line_that_is_too_long_no_more_is_held_than_may_be() -> None:
    loop = connect()
    for chunk in [b"x" * 1024] * 30:
        loop.send(chunk)
        assert loop.session.buffered <= 2048


def test_progress_tells_who_gets_on() -> None:
    loop = connect()
    loop.send(b"NOOP\r\nRSET\r\n\r\nwhat\r\nVRFY x\r\n")
    assert loop.session.commands.progress == 0
    loop.send(b"EHLO x\r\n" + GO)
    assert loop.session.commands.progress == 4
    loop.send(b"x" * 100)
    assert loop.session.commands.progress == 104


# Secrets


def test_no_credential_is_kept_or_handed_out() -> None:
    secrets = [b"camera-user-name", b"camera-password"]
    loop = connect(login=auth.ANY_LOGIN)
    pair = b"AUTH PLAIN " + base64.b64encode(b"\0" + secrets[0] + b"\0" + secrets[1]) + b"\r\n"
    loop.send(b"AUTH LOGIN\r\n" + base64.b64encode(secrets[0]) + b"\r\n")
    _nothing_of(loop, secrets)
    loop.send(base64.b64encode(secrets[1]) + b"\r\n" + pair)
    _nothing_of(loop, secrets)


def test_a_line_that_may_be_a_name_or_a_password_is_shown_to_nobody() -> None:
    secrets = [base64.b64encode(secret) for secret in (b"camuser", b"S3cretPass", b"geheimer!")]
    for before in (b"NOOP\r\n", b"AUHT LOGIN\r\n", b"AUTH LOGIN\r\n*\r\n", b"AUTH PLAIN " + b"A" * 9000 + b"\r\n"):
        for secret in secrets:
            loop = connect(login=auth.ANY_LOGIN)
            loop.send(before + secret + b"\r\n")
            assert loop.session.commands.said == b"", before
    for command, shown in ((b"FROBNICATE x", b"FROBNICATE"), (b"xclient NAME=a", b"XCLIENT"), (b"Hello x", b"HELLO")):
        loop = connect()
        loop.send(command + b"\r\n")
        assert loop.session.commands.said == shown


def _nothing_of(loop: Loop, secrets: list[bytes]) -> None:
    seen: set[int] = set()
    todo: list[object] = [loop]
    while todo:
        thing = todo.pop()
        if id(thing) in seen or isinstance(thing, type) or callable(thing):
            continue
        seen.add(id(thing))
        if isinstance(thing, bytes):
            assert not any(secret in thing or base64.b64encode(secret)[:-4] in thing for secret in secrets)
        todo += gc.get_referents(thing)
    assert len(seen) > 10


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
    assert others <= {"__future__", "_operator"}


def test_the_protocol_is_what_rfc_3848_calls_it() -> None:
    loop = connect(login=auth.ANY_LOGIN)
    commands = loop.session.commands
    assert commands.protocol == "SMTP"
    loop.send(b"EHLO plc\r\n")
    assert commands.protocol == "ESMTP"
    loop.send(b"AUTH PLAIN AHgAeQ==\r\n")
    assert commands.protocol == "ESMTPA"
    loop = connect()
    loop.send(b"EHLO plc\r\nHELO plc\r\n")
    assert loop.session.commands.protocol == "SMTP"
