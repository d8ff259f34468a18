"""Where a mail ends, beside a real Postfix: what ends it there ends it here, at once or after three seconds."""

from __future__ import annotations

import contextlib
import itertools
import socket
from collections.abc import Iterator

import pytest

from forge.servers import postfix
from tests.support.relay import SMARTHOST, Relay

LINE_ENDS = [b"\n", b"\r\n", b"\r\r\n", b"\r\r\r\n"]
DOTS = [before + b"." + after for before, after in itertools.product(LINE_ENDS, LINE_ENDS)]
CONTENTS = [b"Subject: x\n\na" + dot for dot in DOTS]
CONTENTS += [b"Subject: x\r\n\r\na" + dot + rest for dot, rest in zip(DOTS, itertools.cycle([b"", b"\r\n", b"quit\n"]))]


@pytest.fixture
def postfix_port() -> Iterator[int]:
    if reason := postfix.obstacle():
        pytest.skip(reason)
    with postfix.Baseline(sink_port=9) as server:
        yield server.port


def unanswered(port: int) -> list[bytes]:
    """Send each content over a connection of its own; return those that are not answered 250."""
    with contextlib.ExitStack() as stack:
        files = []
        for content in CONTENTS:
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
            file = stack.enter_context(sock.makefile("rb"))
            assert file.readline().startswith(b"220 ")
            for line in (b"HELO x", b"MAIL FROM:<a@x.org>", b"RCPT TO:<b@x.org>", b"DATA"):
                sock.sendall(line + b"\r\n")
                answer = file.readline()
            assert answer.startswith(b"354 "), answer
            sock.sendall(content)
            files.append(file)
        return [content for content, file in zip(CONTENTS, files) if not file.readline().startswith(b"250 ")]


def test_what_ends_a_mail_for_postfix_ends_it_here(postfix_port: int) -> None:
    assert unanswered(postfix_port) == []
    with Relay("", SMARTHOST.format(port=9)) as relay:
        assert unanswered(relay.port) == []
