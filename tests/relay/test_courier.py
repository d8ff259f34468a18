"""The courier's decisions in one process: which smarthost, which message, when again. Nothing is sent here."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from mailrelay.config import schema
from mailrelay.core import clock, counters
from mailrelay.courier import notify
from mailrelay.courier.courier import Courier
from mailrelay.spool import spool
from mailrelay.spool.spool import Envelope, Spool

SMARTHOST = """
config smarthost '{name}'
	option host '127.0.0.9'
	option port '2526'
	option tls 'none'
	option priority '{priority}'
"""
FAR = f"{clock.boottime() + 3600:.3f}"


@pytest.fixture
def box(tmp_path: Path) -> Spool:
    found = Spool(str(tmp_path / "spool"))
    os.mkdir(found.root)
    found.prepare()
    return found


class Desk:
    """A courier, the ends of its pipes, and what it says."""

    def __init__(self, box: Spool, rest: str, main: str = "", state: dict[str, list[str]] | None = None) -> None:
        text = f"config mailrelay 'main'\n\toption hostname 'relay.example.net'\n{main}{rest}"
        found, faults, _ = schema.check(text.encode(), "config")
        assert found is not None, list(map(str, faults))
        self.wake_r, self.wake_w = os.pipe2(os.O_NONBLOCK)
        self.report_r, self.report_w = os.pipe2(os.O_NONBLOCK)
        self.courier = Courier(found, box, counters.counters(), self.wake_r, self.report_w, state or {})

    def said(self) -> dict[str, list[str]]:
        lines = os.read(self.report_r, 65536).decode().splitlines()
        return {line.split("\t")[0]: line.split("\t")[1:] for line in lines}


def two(first: str = "", second: str = "") -> str:
    a, b = SMARTHOST.format(name="a", priority=5), SMARTHOST.format(name="b", priority=20)
    return a + first + b + second


def put(box: Spool, sender: bytes = b"plc@example.org", client: str = "192.168.1.5") -> str:
    return box.submit(Envelope(sender, [b"a@example.org"], client), [b"Subject: x\r\n\r\nx\r\n"])


def age(box: Spool, queue_id: str, monkeypatch: pytest.MonkeyPatch, days: float) -> None:
    """As if it had come in so long ago."""
    real = Envelope.age
    started = box.open(queue_id)
    received = started.envelope.received
    started.close()
    monkeypatch.setattr(Envelope, "age", lambda self: real(self) + (days * 86400 if self.received == received else 0.0))


def test_mail_put_aside_goes_back_to_the_first_smarthost_when_the_second_fails(box: Spool) -> None:
    desk = Desk(box, two(), state={"host b": [FAR, "1"]})
    queue_id = put(box)
    desk.courier.queue.make_ready("b", queue_id)
    found = desk.courier.next_smarthost()
    assert found is not None and found.name == "a"
    assert desk.courier.queue.next_for("a") == queue_id


def test_mail_expires_also_while_only_its_own_smarthost_rests(box: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    own = "\tlist sender '@shop.example'\n"
    desk = Desk(box, two(first=own), state={"host a": [FAR, "1"]})
    queue_id = put(box, b"plc@shop.example")
    age(box, queue_id, monkeypatch, 6)
    desk.courier.run(scan=True)
    assert box.ids(spool.FAIL) == [queue_id]
    with box.open(queue_id, spool.FAIL) as message:
        assert "4.4.7" in message.answer


def test_mail_with_a_doubtful_clock_does_not_keep_older_mail_from_expiring(
    box: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "trusted", lambda: False)
    monkeypatch.setattr(clock, "wall", lambda: 1.6e9)
    doubtful = put(box)
    monkeypatch.undo()
    monkeypatch.setattr(clock, "trusted", lambda: True)
    old = put(box)
    age(box, old, monkeypatch, 6)
    desk = Desk(box, two(), state={"host a": [FAR, "1"], "host b": [FAR, "1"]})
    desk.courier.run(scan=True)
    assert (box.ids(spool.QUEUE), box.ids(spool.FAIL)) == ([doubtful], [old])


def test_the_queue_is_looked_at_even_while_all_smarthosts_rest_for_a_day(box: Spool) -> None:
    until = clock.boottime() + 86000
    desk = Desk(box, two(), state={"host a": [f"{until:.3f}", "1"], "host b": [f"{until:.3f}", "1"]})
    put(box)
    desk.courier.run(scan=True)
    due, blocked = (float(word) for word in desk.said()["leaving"])
    assert due <= clock.boottime() + 900.01, "somebody has to see what is stuck"
    assert blocked == pytest.approx(until, abs=1), "and nobody tries before"


@pytest.mark.parametrize("error", [errno.EIO, errno.EMFILE, errno.EROFS])
def test_a_disk_that_fails_for_a_while_fails_no_mail(box: Spool, monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    queue_id = put(box)
    desk = Desk(box, two())

    def fail(*_: Any) -> None:
        raise OSError(error, os.strerror(error))

    for method in ("peek", "open"):
        with monkeypatch.context() as patch:
            patch.setattr(box, method, fail)
            desk.courier.run(scan=True)
        assert box.ids(spool.QUEUE) == [queue_id]
        assert float(desk.said()["leaving"][0]) > clock.boottime(), "it is tried again"


def test_what_cannot_be_recorded_is_tried_later_and_ends_nothing(box: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    put(box)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    desk = Desk(box, two("\tlist sender '@elsewhere.example'\n", "\tlist sender '@elsewhere.example'\n"))
    monkeypatch.setattr(spool.Message, "set_statuses", full)
    desk.courier.run(scan=True)
    assert float(desk.said()["leaving"][0]) > clock.boottime()


def test_failed_mail_without_a_known_age_is_not_asked_after_every_minute(
    box: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue_id = put(box)
    with box.open(queue_id) as message:
        message.move(spool.FAIL)
    monkeypatch.setattr(clock, "trusted", lambda: False)
    monkeypatch.setattr(clock, "boottime", lambda: 90 * 86400.0)
    assert notify.expire_failed(box, 7 * 86400) == 86400.0
    assert box.ids(spool.FAIL) == [queue_id]
