"""What the owner reads of clients: each thing at once, then summed up once a minute; and what to change."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from mailrelay.core import counters, ipc, log
from mailrelay.listener import hints
from mailrelay.listener.journal import Journal
from mailrelay.smtp import replies
from mailrelay.smtp.reply import Reply

CLIENT = "192.168.1.9"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe2(os.O_NONBLOCK)
    yield reader, writer
    os.close(reader)
    os.close(writer)


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []

    def event(name: str, level: int, **fields: object) -> None:
        found.append(" ".join([name, *(f"{key}={value}" for key, value in fields.items() if value is not None)]))

    monkeypatch.setattr(log, "event", event)
    return found


def refusals(reader: int) -> list[tuple[str, int]]:
    """Reply codes and counts that the supervisor reads."""
    told = [ipc.decode_refusal(line) for line in ipc.read_reports(reader, b"")[0]]
    return [(reply[:3], count) for _, count, reply, *_ in told]


def test_a_storm_of_refusals_is_two_lines_a_minute(pipe: tuple[int, int], lines: list[str]) -> None:
    counted = counters.counters()
    journal = Journal(counted, pipe[1], 0.0)
    for number in range(100):
        journal.refused(CLIENT, b"MAIL FROM:<a%d@x.org>" % number, replies.NO_ROOM)
        journal.refused(CLIENT, b"STARTTLS", replies.NO_TLS)
    assert refusals(pipe[0]) == [("452", 1)], "what keeps no mail out is for the log alone"
    assert len(lines) == 2 and "said=MAIL FROM:<a0@x.org>" in lines[0]
    journal.sum_up(60.0)
    assert [line.rpartition(" ")[2] for line in lines[2:]] == ["again=99", "again=99"]
    assert refusals(pipe[0]) == [("452", 99)]
    assert counted[counters.REFUSED] == 100


def test_a_storm_of_broken_off_mail_is_two_lines_a_minute_for_each_reason(
    pipe: tuple[int, int], lines: list[str]
) -> None:
    counted = counters.counters()
    journal = Journal(counted, pipe[1], 0.0)
    for number in range(50):
        journal.aborted(CLIENT, f"id{number}", 1000 + number, "the client hung up")
    journal.aborted(CLIENT, "id50", 7, "Connection reset by peer")
    journal.sum_up(60.0)
    assert lines == [
        f"aborted id=id0 client={CLIENT} received=1000 reason=the client hung up",
        f"aborted id=id50 client={CLIENT} received=7 reason=Connection reset by peer",
        f"aborted client={CLIENT} reason=the client hung up again=49",
    ]
    assert counted[counters.ABORTED] == 51 and refusals(pipe[0]) == []


def test_a_disk_that_takes_nothing_is_two_lines_a_minute(pipe: tuple[int, int], lines: list[str]) -> None:
    journal = Journal(counters.counters(), pipe[1], 0.0)
    for number in range(50):
        journal.not_stored(CLIENT, f"id{number}", "Input/output error")
    journal.sum_up(60.0)
    assert lines == [
        f"not-stored id=id0 client={CLIENT} error=Input/output error",
        f"not-stored client={CLIENT} error=Input/output error again=49",
    ]


def test_what_a_client_says_does_nothing_to_the_log(pipe: tuple[int, int], lines: list[str]) -> None:
    Journal(counters.counters(), pipe[1], 0.0).refused(CLIENT, b"EXPN \x1b[2J\xff\n", replies.NO_LISTS)
    assert r"said=EXPN \x1b[2J\xff\x0a advice=" in lines[0]


def test_a_supervisor_that_does_not_read_stops_nobody(pipe: tuple[int, int], lines: list[str]) -> None:
    for number in range(2000):
        journal = Journal(counters.counters(), pipe[1], 0.0)
        journal.refused(f"10.0.0.{number % 250}", b"", replies.TOO_BIG.fill(10))


def test_every_refusal_has_a_hint_and_every_hint_a_refusal() -> None:
    ours = {replies.NEW_SETTINGS, replies.SHUTTING_DOWN}
    given = [reply for reply in vars(replies).values() if isinstance(reply, Reply) and reply.code >= 400]
    used = set()
    for reply in given:
        commands = ("", "MAIL x", "RCPT x", "DATA", "AUTH x", "STARTTLS", "EXPN")
        found = {hints.hint(str(reply), said)[0] for said in commands} - {""}
        assert found or reply in ours, reply
        used |= found
    assert {code for _, _, code in hints._HINTS} <= used == set(hints.TEXTS)
