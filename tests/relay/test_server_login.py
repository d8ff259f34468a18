"""The SMTP server session by example: AUTH as cameras, recorders and telnet users speak it."""

from __future__ import annotations

import base64
import gc

import pytest

from mailrelay.smtp import server
from tests.relay.server_loop import VERDICT, Loop, codes, connect

ENVELOPE = b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n"
GO = ENVELOPE + b"DATA\r\n"


def b64(text: bytes) -> bytes:
    return base64.b64encode(text)


def test_any_login_does_where_the_owner_says_so() -> None:
    for dialogue, expected in [
        (b"AUTH LOGIN\r\n" + b64(b"u") + b"\r\n" + b64(b"p") + b"\r\n", [334, 334, 235]),
        (b"AUTH LOGIN " + b64(b"u") + b"\r\n" + b64(b"p") + b"\r\n", [334, 235]),
        (b"auth plain " + b64(b"\0u\0p") + b"\r\n", [235]),
        (b"AUTH PLAIN\r\n" + b64(b"\0u\0p") + b"\r\n", [334, 235]),
        (b"AUTH LOGIN\r\n\r\nnot base64!\r\n", [334, 334, 235]),
        (b"AUTH PLAIN =\r\n", [235]),
    ]:
        loop = connect(login=server.ANY_LOGIN)
        assert codes(loop.send(b"EHLO camera\r\n" + dialogue)) == [250, *expected]
        assert loop.session.commands.authenticated
        assert loop.send(GO + b"x\r\n.\r\n").endswith(VERDICT)


def test_where_any_login_does_none_is_needed() -> None:
    assert connect(login=server.ANY_LOGIN).send(GO + b"x\r\n.\r\n").endswith(VERDICT)


def test_a_fixed_login_must_be_shown_before_mail() -> None:
    loop = connect(login=(b"cam", b"secret"))
    assert loop.send(b"MAIL FROM:<a@b>\r\n").startswith(b"530 5.7.0 ")
    assert codes(loop.send(b"AUTH PLAIN " + b64(b"\0cam\0secret") + b"\r\n")) == [235]
    assert codes(loop.send(b"AUTH PLAIN " + b64(b"\0cam\0secret") + b"\r\n")) == [503]
    assert loop.send(GO + b"x\r\n.\r\n").endswith(VERDICT)


@pytest.mark.parametrize(("name", "password"), [(b"cam", b"wrong"), (b"other", b"secret"), (b"", b""), (b"cam", b"")])
def test_a_wrong_login_is_refused_and_the_third_ends_it(name: bytes, password: bytes) -> None:
    login = b"AUTH LOGIN\r\n" + b64(name) + b"\r\n" + b64(password) + b"\r\n"
    plain = b"AUTH PLAIN " + b64(b"\0" + name + b"\0" + password) + b"\r\n"
    loop = connect(login=(b"cam", b"secret"))
    assert codes(loop.send(login)) == [334, 334, 535]
    assert codes(loop.send(b"MAIL FROM:<a@b>\r\n")) == [530]
    assert codes(loop.send(plain)) == [535]
    assert not loop.session.commands.authenticated and not loop.closed
    assert codes(loop.send(login)) == [334, 334, 421]
    assert loop.closed


def test_a_login_that_is_none() -> None:
    loop = connect(login=(b"cam", b"secret"))
    assert codes(loop.send(b"AUTH LOGIN\r\n*\r\nNOOP\r\n")) == [334, 501, 250]
    assert codes(loop.send(b"AUTH LOGIN\r\n" + b64(b"cam") + b"\r\n*\r\n")) == [334, 334, 501]
    assert codes(loop.send(b"AUTH PLAIN a\r\n")) == [501]
    assert codes(loop.send(b"AUTH CRAM-MD5\r\n")) == [504]
    assert codes(loop.send(b"AUTH\r\n")) == [504]
    assert codes(loop.send(b"AUTH LOGIN\r\n" + b"x" * 3000 + b"\r\nNOOP\r\n")) == [334, 500, 250]
    assert not loop.session.commands.authenticated


def test_mail_goes_after_a_login_that_was_not_offered() -> None:
    loop = connect()
    loop.send(b"EHLO camera\r\nAUTH LOGIN\r\n" + b64(b"user") + b"\r\n" + b64(b"password") + b"\r\n")
    assert codes(loop.replies) == [250, 502, 500, 500]
    assert loop.send(GO + b"x\r\n.\r\n").endswith(VERDICT)


def test_no_credential_is_kept_or_handed_out() -> None:
    secrets = [b"camera-user-name", b"camera-password"]
    loop = connect(login=server.ANY_LOGIN)
    pair = b"AUTH PLAIN " + b64(b"\0" + secrets[0] + b"\0" + secrets[1]) + b"\r\n"
    loop.send(b"AUTH LOGIN\r\n" + b64(secrets[0]) + b"\r\n")
    _nothing_of(loop, secrets)
    loop.send(b64(secrets[1]) + b"\r\n" + pair)
    _nothing_of(loop, secrets)


def _nothing_of(loop: Loop, secrets: list[bytes]) -> None:
    seen: set[int] = set()
    todo: list[object] = [loop]
    while todo:
        thing = todo.pop()
        if id(thing) in seen or isinstance(thing, type) or callable(thing):
            continue
        seen.add(id(thing))
        if isinstance(thing, bytes):
            assert not any(secret in thing or b64(secret)[:-4] in thing for secret in secrets)
        todo += gc.get_referents(thing)
    assert len(seen) > 10
