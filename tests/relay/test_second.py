"""The second courier: what it takes, when a transfer is said to last, and what two of them must not do together."""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from mailrelay.core import counters
from mailrelay.core.ledger import Ledger
from mailrelay.courier import second, transfer
from mailrelay.courier.second import HANGING, MOVING, SMALL
from mailrelay.courier.transfer import Transfer
from mailrelay.spool import spool
from mailrelay.spool.message import Message
from mailrelay.spool.spool import Busy, Envelope, Spool
from tests.relay import sending
from tests.support.relay import Relay, smarthost
from tests.support.script import Action, Step, Throttle
from tests.support.scripted_provider import Delay, Hang, ScriptedProvider
from tests.support.waiting import wait

BIG = SMALL + 1
A, ONE, OVER = (sending.smarthost(name="a", connections=n, overflow=o) for n, o in ((2, False), (1, False), (1, True)))
B = sending.smarthost(name="b", connections=2, overflow=False)

# ---- what it takes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "other", "state", "size", "expected"),
    [
        # `a` is busy. While bytes still move there, small mail goes, and by whom it would go anyway
        (A, B, MOVING, SMALL, A),
        (A, None, MOVING, SMALL, A),
        (B, B, MOVING, SMALL, B),
        (A, B, MOVING, BIG, None),
        (B, B, MOVING, BIG, None),
        # it hangs: another one takes mail of any size
        (A, B, HANGING, SMALL, B),
        (A, B, HANGING, BIG, B),
        (B, B, HANGING, BIG, B),
        (A, None, HANGING, SMALL, A),
        (A, None, HANGING, BIG, None),
        # one connection and no more: as over a rate, mail waits for its provider
        (ONE, B, MOVING, SMALL, None),
        (OVER, B, MOVING, SMALL, B),
        (OVER, B, MOVING, BIG, None),
        (OVER, None, MOVING, SMALL, None),
        (ONE, B, HANGING, SMALL, B),
        (ONE, None, HANGING, SMALL, None),
        # nobody may be tried
        (None, None, HANGING, SMALL, None),
    ],
)
def test_what_a_second_courier_takes(first: Any, other: Any, state: str, size: int, expected: Any) -> None:
    assert second.choice(first, other, "a", state, size) is expected


@pytest.mark.parametrize(
    ("name", "about"),
    [
        ("host a", True), ("host a me@x.org", True), ("trouble smarthost a", True), ("host ab", False),
        ("trouble smarthost b a@x.org", False), ("stuck", False),
    ],
)  # fmt: skip
def test_what_a_second_connection_meets_is_not_carried(name: str, about: bool) -> None:
    assert second.concerns(name, "a") == about


# ---- when a transfer lasts ------------------------------------------------------------------------------------------


class Sock:
    """A socket by what its kernel says: bytes acknowledged, and seconds since the last ACK."""

    def __init__(self) -> None:
        self.acked = 0
        self.last_ack = 0.0

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        assert (level, option) == (socket.IPPROTO_TCP, socket.TCP_INFO)
        info = bytearray(size)
        info[56:60] = int(self.last_ack * 1000).to_bytes(4, sys.byteorder)
        info[120:128] = self.acked.to_bytes(8, sys.byteorder)
        return bytes(info)


@pytest.fixture
def sock(monkeypatch: pytest.MonkeyPatch) -> Sock:
    found = Sock()
    clock = iter(i * 0.5 for i in range(1000))
    monkeypatch.setattr(transfer, "monotonic", lambda: next(clock))
    return found


def states(sock: Sock, acked: list[int]) -> list[str]:
    """What is noticed of a transfer that begins now and is looked at every half second."""
    noticed: list[str] = []
    watched = Transfer(noticed.append)
    watched.begin()
    for sock.acked in acked:
        watched.look(sock)  # type: ignore[arg-type]
    watched.end()
    return noticed


@pytest.mark.parametrize(
    ("acked", "noticed"),
    [
        ([1, 2, 3], []),
        ([1, 2, 3, 4, 5, 6, 7, 8], [MOVING, ""]),
        ([1, 1, 1, 1, 1], [HANGING, ""]),
        ([1, 2, 3, 4, 5, 5, 5, 5, 5], [MOVING, HANGING, ""]),
        ([1, 1, 1, 1, 1, 2, 3], [HANGING, MOVING, ""]),
    ],
)
def test_a_transfer_lasts_after_two_seconds(sock: Sock, acked: list[int], noticed: list[str]) -> None:
    assert states(sock, acked) == noticed


def test_nothing_is_on_its_way_between_two_messages(sock: Sock) -> None:
    watched = Transfer(lambda state: pytest.fail(state))
    for _ in range(9):
        watched.look(sock)  # type: ignore[arg-type]


# ---- what two share -------------------------------------------------------------------------------------------------


def test_two_processes_change_the_ledger_in_turn(tmp_path: Path) -> None:
    ledger = Ledger(str(tmp_path))
    assert ledger.empty() and os.listdir(tmp_path) == []
    pids = []
    for _ in range(2):
        if not (pid := os.fork()):
            for _ in range(500):
                with ledger as lines:
                    lines["count a"] = [str(int(lines.get("count a", ["0"])[0]) + 1), "x y"]
            os._exit(0)
        pids.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0, 0]
    with ledger as lines:
        assert lines == {"count a": ["1000", "x y"]}


def test_a_full_ledger_forgets_its_oldest_lines(tmp_path: Path) -> None:
    ledger = Ledger(str(tmp_path))
    with ledger as lines:
        for i in range(4000):
            lines[f"settled {i}"] = ["D" * 80]
    with ledger as lines:
        assert "settled 3999" in lines and "settled 0" not in lines and len(lines) > 2000


def test_a_reservation_is_one_processs_until_it_ends(tmp_path: Path) -> None:
    ledger = Ledger(str(tmp_path))
    said_r, said_w = os.pipe()
    if not (pid := os.fork()):
        os.write(said_w, b"%d" % ledger.reserve(0))
        signal.pause()
    assert os.read(said_r, 1) == b"1"
    assert not ledger.reserve(0) and ledger.reserve(1)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert ledger.reserve(0)
    os.close(said_r)
    os.close(said_w)


def test_a_second_couriers_counts_are_its_own_and_are_added() -> None:
    counts = counters.counters()
    counts[counters.DELIVERED] = 3
    counters.of_second(counts)[counters.DELIVERED] = 4
    assert counts[counters.DELIVERED] == 3
    assert counters.totals(counts)[counters.DELIVERED] == 7


# ---- a message that is lent -----------------------------------------------------------------------------------------


@pytest.fixture
def message(box: Spool) -> Any:
    envelope = Envelope(b"plc@example.org", [b"a@example.org"], "192.168.1.5")
    found = box.open(box.submit(envelope, [b"Subject: x\r\n\r\nx\r\n"]))
    yield found
    found.close()


def test_what_was_lent_is_taken_back_if_nobody_has_touched_it(box: Spool, message: Message) -> None:
    with pytest.raises(Busy):
        box.open(message.id)
    assert message.lend()
    box.open(message.id).close()
    message.begin_sending()
    with pytest.raises(Busy):
        box.open(message.id)
    assert not message.lend(), "its content is on its way"


@pytest.mark.parametrize("change", ["held open", "put off", "delivered", "moved"])
def test_what_another_has_or_has_changed_is_not_sent(box: Spool, message: Message, change: str) -> None:
    message.lend()
    other = box.open(message.id)
    if change == "put off":
        other.note_attempt(1, 5.0, "later")
    elif change == "delivered":
        other.delete()
    elif change == "moved":
        other.move(spool.HOLD)
    if change != "held open":
        other.close()
    with pytest.raises(Busy):
        message.begin_sending()
    assert not message.take_back()
    if change == "held open":
        other.close()
    if change == "put off":
        box.open(message.id).close()


# ---- the whole relay ------------------------------------------------------------------------------------------------

ALARM = b"Subject: x\r\n\r\nx\r\n"
PICTURE = b"Subject: picture\r\n\r\n" + (b"x" * 76 + b"\r\n") * 14000


def first_hangs(action: Action) -> Any:
    return lambda step: action if step.name == "dot" and step.count == 1 else None


def throttled(step: Step) -> Action:
    return Throttle(50_000) if step.name == "content" and step.count == 1 else None


def senders(provider: ScriptedProvider) -> list[bytes]:
    return [mail.sender for mail in provider.messages]


def test_an_alarm_does_not_wait_behind_a_picture() -> None:
    with ScriptedProvider(throttled) as provider, Relay("", smarthost(provider)) as relay:
        relay.send(PICTURE, sender="camera@x.org")
        wait(lambda: provider.count("content") == 1, "the picture is on its way")
        relay.send(PICTURE, sender="camera2@x.org")
        relay.send(sender="plc@x.org")
        provider.wait_for(1)
        assert senders(provider) == [b"plc@x.org"], "neither of the pictures"
        relay.send(sender="plc2@x.org")
        provider.wait_for(2)
        assert senders(provider) == [b"plc@x.org", b"plc2@x.org"]
        assert provider.count("content") == 3 and provider.violations == []


def test_a_provider_that_hangs_at_the_dot_holds_nothing_back_that_another_can_take() -> None:
    with ScriptedProvider(first_hangs(Hang())) as hangs, ScriptedProvider() as spare:
        sections = smarthost(hangs, "a", "priority '5'") + smarthost(spare, "b", "priority '20'")
        with Relay("", sections) as relay:
            relay.send(sender="first@x.org")
            wait(lambda: hangs.count("dot") == 1, "it hangs")
            relay.send(sender="alarm@x.org")
            spare.wait_for(1)
            relay.send(PICTURE, sender="camera@x.org")
            spare.wait_for(2)
            assert senders(spare) == [b"alarm@x.org", b"camera@x.org"]
            wait(lambda: len(relay.queue()) == 1, "the others are through")
            assert relay.status()["delivering"]
            os.kill(relay.pid, signal.SIGHUP)
            relay.wait_log("reloaded")
            hangs.wait_for(1)
            wait(lambda: relay.queue() == [], "nothing is left")
        assert senders(hangs) == [b"first@x.org"]


def waiting(relay: Relay, *contents: bytes) -> None:
    """Leave mail in the queue for a relay to find: the last one goes first."""
    relay.start()
    relay.stop()
    owner = relay.spool.stat()
    box = Spool(str(relay.spool))
    for i, content in enumerate(contents):
        queue_id = box.submit(Envelope(b"%d@x.org" % i, [b"a@x.org"], "127.0.0.1"), [content])
        os.chown(relay.spool / "queue" / queue_id, owner.st_uid, owner.st_gid)


def test_what_went_behind_the_dot_of_one_that_hangs_is_sent_once() -> None:
    with ScriptedProvider(first_hangs(Delay(5.0))) as slow, ScriptedProvider() as spare:
        sections = smarthost(slow, "a", "priority '5'") + smarthost(spare, "b", "priority '20'")
        relay = Relay("", sections)
        waiting(relay, ALARM, ALARM)
        with relay:
            spare.wait_for(1)
            assert slow.said(1).count(b"MAIL FROM:") == 2, "its envelope had gone to the one that hangs"
            slow.wait_for(1)
            wait(lambda: relay.queue() == [], "nothing is left")
            relay.send(sender="2@x.org")
            slow.wait_for(2)
        assert sorted(senders(slow) + senders(spare)) == [b"0@x.org", b"1@x.org", b"2@x.org"]


def test_an_alarm_that_went_behind_a_picture_into_the_kernels_buffers_is_sent_once_and_first() -> None:
    with ScriptedProvider(
        lambda step: Throttle(100_000) if step.name == "content" and step.count == 1 else None
    ) as slow:
        relay = Relay("", smarthost(slow))
        waiting(relay, ALARM, PICTURE[: len(PICTURE) // 4] + b"\r\n")
        with relay:
            slow.wait_for(2, timeout=60)
            wait(lambda: relay.queue() == [], "nothing is left")
        assert senders(slow) == [b"0@x.org", b"1@x.org"]


def test_no_second_connection_where_the_provider_allows_one() -> None:
    with ScriptedProvider(throttled) as provider, Relay("", smarthost(provider, "a", "connections '1'")) as relay:
        relay.send(PICTURE, sender="camera@x.org")
        wait(lambda: provider.count("content") == 1, "the picture is on its way")
        relay.send(sender="plc@x.org")
        wait(lambda: len(relay.children()) == 3, "a second courier looks")
        wait(lambda: len(relay.children()) == 2, "and leaves")
        assert provider.connections == 1
        relay.send(sender="plc2@x.org")
        wait(lambda: len(relay.children()) == 3, "a second courier looks")
        wait(lambda: len(relay.children()) == 2, "and leaves")
        assert provider.connections == 1


def test_a_rate_holds_for_both_together() -> None:
    with ScriptedProvider(throttled) as provider, Relay("", smarthost(provider, "a", "rate '3/minute'")) as relay:
        relay.send(PICTURE, sender="camera@x.org")
        wait(lambda: provider.count("content") == 1, "the picture is on its way")
        for _ in range(4):
            relay.send()
        provider.wait_for(1)
        wait(lambda: len(relay.children()) == 2, "the second courier leaves")
        assert provider.said().count(b"MAIL FROM:") <= 3


def test_term_ends_both(tmp_path: Path) -> None:
    with ScriptedProvider({"dot": Hang()}) as provider, Relay("", smarthost(provider)) as relay:
        relay.send()
        wait(lambda: provider.count("dot") == 1, "it hangs")
        relay.send()
        wait(lambda: provider.count("dot") == 2, "the second connection hangs, too")
        assert relay.stop() == 0
        assert len(relay.queue()) == 2
