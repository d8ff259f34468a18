"""The log is one line an event, in syslog's own form, and nothing that a client says breaks out of its line."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailrelay.core import log


@pytest.fixture
def syslog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    path = str(tmp_path / "log")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(path)
        sock.settimeout(5)
        monkeypatch.setattr(log, "_SYSLOG", path)
        monkeypatch.setattr(log, "_sink", None)
        log.setup("syslog")
        yield sock
    log.setup("stderr")


def test_a_line_has_facility_mail_a_time_of_sixteen_characters_and_the_fields(syslog: socket.socket) -> None:
    log.event("accepted", log.NOTICE, id="abc", from_=b"a@b.org", to=None, text="two words")
    line = syslog.recv(4096).decode()
    found = re.fullmatch(r"<21>(.{15} )mailrelay\[\d+\]: (.*)", line)
    assert found, line
    assert re.fullmatch(r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d ", found[1])
    assert found[2] == 'accepted id=abc from=a@b.org text="two words"'


@pytest.mark.parametrize("value", [b"x\r\nfake id=1", "x\nfake", b"\xff\x00\x1b[31m", 'say "id=1"'])
def test_no_value_makes_a_second_line_or_a_second_field(syslog: socket.socket, value: bytes | str) -> None:
    log.event("accepted", helo=value)
    line = syslog.recv(4096).decode()
    assert line.isprintable()
    assert re.search(r'accepted helo=("[^"]*"|\S+)$', line), line


def test_a_syslog_that_went_away_and_came_back_is_found_again(
    syslog: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.event("one")
    syslog.recv(4096)
    (tmp_path / "log").unlink()
    syslog.close()
    log.event("lost")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as again:
        again.bind(str(tmp_path / "log"))
        again.settimeout(5)
        log.event("two")
        assert again.recv(4096).endswith(b": two")
