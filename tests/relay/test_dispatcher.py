"""dispatcher: what couriers report is taken as from a stranger; what the owner asks for is handed on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mailrelay.core import counters, ipc
from mailrelay.core.ipc import NEVER
from mailrelay.core.ledger import Ledger
from mailrelay.daemon.dispatcher import Dispatcher

pytestmark = pytest.mark.usefixtures("roles_pipes")

ID = "0123456789abcdef"


def leaving(due: float, blocked_until: float) -> bytes:
    return ipc.encode_report("leaving", ipc.encode_time(due), ipc.encode_time(blocked_until))


@pytest.fixture
def dispatcher(tmp_path: Path) -> Dispatcher:
    return Dispatcher(delivers=True, counts=counters.counters(), ledger=Ledger(str(tmp_path)))


def courier(dispatcher: Dispatcher, *lines: bytes, exit_code: int = 0) -> bool:
    """One that starts, says this, and ends."""
    dispatcher.start(dispatcher.first, 0.0)
    dispatcher.first.pid = 1
    os.write(dispatcher.first.report_w, b"".join(lines))
    return dispatcher.end(1, exit_code, 0.0)


@pytest.mark.parametrize(
    "line", [b"leaving\tnan\t0", b"leaving\t1\tinf", b"leaving\t-1\t0", b"leaving\t1", b"remember"]
)
def test_what_a_courier_says_is_taken_as_from_a_stranger(dispatcher: Dispatcher, line: bytes) -> None:
    dispatcher.start(dispatcher.first, 0.0)
    os.write(dispatcher.first.report_w, line + b"\n")
    dispatcher.read_reports()
    assert (dispatcher.schedule.blocked_until, dispatcher.carried_state) == (0.0, {})
    assert not dispatcher.end(1, 0, 0.0), "it has not reported"


def test_what_one_courier_remembers_the_next_one_is_given(dispatcher: Dispatcher) -> None:
    remember = [ipc.encode_report("remember", name, "1", "2") for name in ("host a", "rate a", "trouble a", "stuck")]
    assert courier(dispatcher, *remember, ipc.encode_report("forget", "stuck"), leaving(NEVER, 0.0))
    assert set(dispatcher.carried_state) == {"host a", "rate a", "trouble a"}
    dispatcher.request([ID])
    assert set(dispatcher.carried_state) == {"rate a", "trouble a"}, "every smarthost may be tried"
    dispatcher.new_settings(True)
    kept = "what the provider counts does not start anew, and once the settings are mended the owner hears of it"
    assert set(dispatcher.carried_state) == {"rate a", "trouble a"}, kept


def test_what_a_machine_was_refused_waits_for_a_courier_that_tells_of_it(dispatcher: Dispatcher) -> None:
    dispatcher.tell_refused([])
    assert not dispatcher.due(0.0)
    dispatcher.tell_refused([("10.0.0.1", "450 4.7.1 too many", 3, "raise it")])
    dispatcher.new_settings(True)
    dispatcher.flush()
    assert dispatcher.due(0.0)
    dispatcher.start(dispatcher.first, 0.0)
    assert dispatcher.carried_state == {"refused 10.0.0.1": ["450 4.7.1 too many", "3", "raise it"]}


def test_half_a_line_of_one_courier_is_not_the_next_ones(dispatcher: Dispatcher) -> None:
    assert not courier(dispatcher, b"remember\thost a", exit_code=-9)
    assert courier(dispatcher, leaving(NEVER, 0.0))
    assert dispatcher.carried_state == {}


def test_what_is_requested_while_a_courier_is_at_work_is_requested_again_when_it_leaves(dispatcher: Dispatcher) -> None:
    dispatcher.start(dispatcher.first, 0.0)
    dispatcher.first.pid = 1
    dispatcher.request([ID, "no-id", "../../etc/passwd"])
    assert ipc.read_lines(dispatcher.wake_r) == [ID], "the courier has read it"
    os.write(dispatcher.first.report_w, leaving(NEVER, 500.0))
    assert dispatcher.end(1, 0, 0.0)
    assert ipc.read_lines(dispatcher.wake_r) == [ID]
    assert dispatcher.schedule.blocked_until == 0.0
    assert courier(dispatcher, leaving(NEVER, 0.0))
    assert ipc.read_lines(dispatcher.wake_r) == [], "once"


def test_ids_that_were_lost_are_looked_for(dispatcher: Dispatcher) -> None:
    assert not dispatcher.due(0.0)
    dispatcher._counters[counters.OVERFLOW] = 1
    assert dispatcher.due(0.0) == [dispatcher.first]
    assert dispatcher.start(dispatcher.first, 0.0).scan
    assert dispatcher._counters[counters.OVERFLOW] == 0


def test_two_couriers_are_told_and_heard_apart(dispatcher: Dispatcher) -> None:
    dispatcher.start(dispatcher.first, 0.0)
    dispatcher.first.pid = 1
    os.write(dispatcher.first.report_w, ipc.encode_report("slow", "a", "moving", "0.000"))
    dispatcher.read_reports()
    assert dispatcher.due(0.0) == [dispatcher.second]
    orders = dispatcher.start(dispatcher.second, 0.0)
    assert (orders.scan, orders.flush, orders.busy, orders.state) == (True, False, "a", "moving")
    dispatcher.second.pid = 2
    assert dispatcher.due(0.0) == [] and dispatcher.pids() == [1, 2]
    os.write(dispatcher.second.report_w, leaving(NEVER, 0.0))
    assert dispatcher.end(2, 0, 0.0)
    assert dispatcher.due(0.0) == [] and dispatcher.pids() == [1], "what it left is for the one after the first"
    os.write(dispatcher.first.report_w, leaving(900.0, 500.0))
    assert dispatcher.end(1, 0, 0.0)
    assert (dispatcher.next_due(), dispatcher.schedule.blocked_until) == (0.0, 500.0)


def test_what_a_second_courier_leaves_does_not_wait_until_its_own_transfer_is_over(dispatcher: Dispatcher) -> None:
    dispatcher.start(dispatcher.first, 0.0)
    dispatcher.first.pid = 1
    os.write(dispatcher.first.report_w, ipc.encode_report("slow", "a", "moving", "0.000"))
    dispatcher.read_reports()
    dispatcher.start(dispatcher.second, 0.0)
    dispatcher.second.pid = 2
    for begun in (10.0, 20.0):
        os.write(dispatcher.first.report_w, leaving(NEVER, 0.0))
        assert dispatcher.end(1, 0, begun)
        assert dispatcher.next_due() == begun + 5
        assert dispatcher.due(begun + 5) == [dispatcher.first]
        assert dispatcher.start(dispatcher.first, begun + 5).scan
        dispatcher.first.pid = 1


def test_ids_that_were_lost_start_a_second_courier_once(dispatcher: Dispatcher) -> None:
    dispatcher.start(dispatcher.first, 0.0)
    dispatcher.first.pid = 1
    os.write(dispatcher.first.report_w, ipc.encode_report("slow", "a", "hanging", ""))
    dispatcher.read_reports()
    dispatcher._counters[counters.OVERFLOW] = 1
    assert dispatcher.due(0.0) == [dispatcher.second]
    dispatcher.start(dispatcher.second, 0.0)
    dispatcher.second.pid = 2
    os.write(dispatcher.second.report_w, leaving(NEVER, 0.0))
    assert dispatcher.end(2, 0, 0.0) and dispatcher.due(0.0) == []
    os.write(dispatcher.first.report_w, leaving(NEVER, 0.0))
    assert dispatcher.end(1, 0, 0.0) and dispatcher.due(0.0) == [dispatcher.first]


def test_a_second_courier_cannot_say_that_a_transfer_lasts(dispatcher: Dispatcher) -> None:
    os.write(dispatcher.second.report_w, ipc.encode_report("slow", "a", "hanging", "0.000"))
    dispatcher.read_reports()
    assert dispatcher.due(0.0) == []
