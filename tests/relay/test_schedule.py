"""schedule: a table of what happened, and when the next courier is due after it. The time is told, nothing waits."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mailrelay.core.ipc import NEVER
from mailrelay.daemon.schedule import Schedule, Second

Event = Callable[[Schedule], object]
NOW = 1000.0

ids: Event = Schedule.ids_waiting
lost: Event = Schedule.ids_lost
scan: Event = Schedule.scan
flush: Event = Schedule.flush
unblock: Event = Schedule.unblock
stop: Event = Schedule.stop


def start(schedule: Schedule) -> None:
    schedule.start(NOW)


def leaves(due: float = NEVER, blocked_until: float = 0.0) -> Event:
    """A courier comes, reports, and ends well."""

    def event(schedule: Schedule) -> None:
        schedule.start(NOW)
        schedule.report(due, blocked_until)
        assert schedule.end(0, NOW)

    return event


def crashes(exit_code: int = 70) -> Event:
    def event(schedule: Schedule) -> None:
        schedule.start(NOW)
        assert not schedule.end(exit_code, NOW)

    return event


def not_started(schedule: Schedule) -> None:
    """There is no process for the one that is due."""
    schedule.not_started(*schedule.start(NOW), NOW + 1)


def settings(delivers: bool) -> Event:
    return lambda schedule: schedule.new_settings(delivers)


@pytest.mark.parametrize(
    ("events", "next_due", "ids_due"),
    [
        # events, when the next courier is due, from when on the ids' pipe is listened to
        ([], NEVER, 0.0),
        ([ids], 0.0, 0.0),
        ([lost], 0.0, 0.0),
        ([scan], 0.0, 0.0),
        ([flush], 0.0, 0.0),
        ([unblock], NEVER, 0.0),
        # one is running: whatever happens, the next one has to wait for its end
        ([start], NEVER, NEVER),
        ([start, ids, lost, scan, flush], NEVER, NEVER),
        ([ids, leaves()], NEVER, 0.0),
        # what it reports
        ([leaves(1500.0)], 1500.0, 0.0),
        ([leaves(1500.0), ids], 0.0, 0.0),
        ([leaves(1500.0), leaves(1200.0)], 1200.0, 0.0),
        ([leaves(1200.0), leaves()], 1200.0, 0.0),
        ([leaves(1900.0, 1300.0)], 1900.0, 1300.0),
        ([leaves(1900.0, 1300.0), ids], 1300.0, 1300.0),
        ([leaves(1900.0, 1300.0), lost], 1300.0, 1300.0),
        ([leaves(1100.0, 1300.0), ids], 1100.0, 1300.0),
        # what the owner does about it
        ([leaves(1900.0, 1300.0), flush], 0.0, 0.0),
        ([leaves(1900.0, 1300.0), unblock], 1900.0, 0.0),
        ([leaves(1900.0, 1300.0), unblock, ids], 0.0, 0.0),
        ([leaves(1900.0, 1300.0), settings(True)], 0.0, 0.0),
        ([leaves(1900.0, 1300.0), settings(False)], NEVER, NEVER),
        ([settings(False), ids, flush, scan, settings(True)], 0.0, 0.0),
        # ids were lost while one was running: it has not looked for them
        ([start, lost, lambda schedule: schedule.report(NEVER, 0.0), lambda schedule: schedule.end(0, NOW)], 0.0, 0.0),
        # crashes, and an end without a report is one: the first costs nothing, each further one twice as much
        ([crashes()], NOW, NOW),
        ([crashes(0)], NOW, NOW),
        ([crashes()] * 2, NOW + 2, NOW + 2),
        ([crashes()] * 3, NOW + 4, NOW + 4),
        ([crashes()] * 9, NOW + 60, NOW + 60),
        ([crashes()] * 5000, NOW + 60, NOW + 60),
        ([*[crashes()] * 3, ids], NOW + 4, NOW + 4),
        ([*[crashes()] * 3, flush], 0.0, 0.0),
        ([*[crashes()] * 3, settings(True)], 0.0, 0.0),
        ([*[crashes()] * 3, leaves(), crashes()], NOW, NOW),
        # no process for it: it is tried again after a pause, whatever it was due for
        ([ids, not_started], NOW + 1, NOW + 1),
        ([flush, not_started], NOW + 1, NOW + 1),
        ([scan, not_started, ids], NOW + 1, NOW + 1),
        ([scan, not_started, leaves()], NEVER, NOW + 1),
        # the end
        ([ids, scan, flush, stop], NEVER, NEVER),
        ([start, stop, lambda schedule: schedule.end(0, NOW)], NEVER, NEVER),
    ],
)
def test_when_the_next_courier_is_due(events: list[Event], next_due: float, ids_due: float) -> None:
    schedule = Schedule(delivers=True)
    for event in events:
        event(schedule)
    assert (schedule.next_due(), schedule.ids_due()) == (next_due, ids_due)
    for now in (0.0, NOW, 1300.0, 2000.0):
        assert schedule.due_now(now) == (now >= next_due)


@pytest.mark.parametrize("event", [ids, lost, scan, flush])
def test_without_a_smarthost_or_a_spool_none_is_ever_due(event: Event) -> None:
    schedule = Schedule(delivers=False)
    event(schedule)
    assert (schedule.next_due(), schedule.ids_due()) == (NEVER, NEVER)


@pytest.mark.parametrize(
    ("events", "scans", "flushes"),
    [
        ([ids], False, False),
        ([scan], True, False),
        ([lost], True, False),
        ([ids, flush], True, True),
        ([leaves(NOW)], True, False),
        ([leaves(NOW + 1), ids], False, False),
        ([crashes()], True, False),
        ([flush, leaves(), ids], False, False),
        ([lost, leaves(), ids], False, False),
        ([flush, crashes()], True, False),
        ([ids, not_started], False, False),
        ([lost, not_started], True, False),
        ([scan, not_started, not_started], True, False),
        ([flush, not_started], True, True),
    ],
)
def test_what_the_next_courier_is_to_do(events: list[Event], scans: bool, flushes: bool) -> None:
    schedule = Schedule(delivers=True)
    for event in events:
        event(schedule)
    assert schedule.start(NOW) == (scans, flushes)


# ---- the second courier ---------------------------------------------------------------------------------------------

SecondEvent = Callable[[Second], object]

wake: SecondEvent = Second.wake
over: SecondEvent = Second.over


def slow(due: float = NEVER, state: str = "moving") -> SecondEvent:
    return lambda second: second.slow("a", state, due)


def helps(due: float = NEVER, exit_code: int = 0) -> SecondEvent:
    """It comes, reports, and ends."""

    def event(second: Second) -> None:
        second.start()
        second.report(due)
        assert second.end(exit_code, NOW) == (not exit_code)

    return event


def flushed(second: Second) -> None:
    second.wake(flush=True)


@pytest.mark.parametrize(
    ("events", "next_due", "ids_due"),
    [
        # events, when the second courier is due, from when on the ids' pipe is listened to for it
        ([], NEVER, NEVER),
        ([wake], NEVER, NEVER),
        ([slow()], NEVER, 0.0),
        ([slow(0.0)], 0.0, 0.0),
        ([slow(1200.0)], 1200.0, 0.0),
        ([slow(), wake], 0.0, 0.0),
        ([wake, slow()], NEVER, 0.0),  # whatever woke it then is the first one's
        ([slow(), flushed], 0.0, 0.0),
        # it may have mail now that it had to leave before
        ([slow(0.0), helps(), slow(0.0, "hanging")], 0.0, 0.0),
        # the transfer is over
        ([slow(0.0), over], NEVER, NEVER),
        ([slow(0.0), slow(NEVER, "")], NEVER, NEVER),
        ([slow(0.0), over, slow()], NEVER, 0.0),
        # never a third one
        ([slow(0.0), Second.start], NEVER, NEVER),
        ([slow(0.0), Second.start, wake], NEVER, NEVER),
        ([slow(0.0), Second.start, over, slow(0.0)], NEVER, NEVER),
        # what it leaves is not its own, but what will be due is
        ([slow(0.0), helps()], NEVER, 0.0),
        ([slow(0.0), helps(1200.0)], 1200.0, 0.0),
        ([slow(0.0), helps(), wake], 0.0, 0.0),
        # a crash: the next one waits
        ([slow(0.0), helps(exit_code=70)], NEVER, NOW + 60),
        ([slow(0.0), helps(exit_code=70), wake], NOW + 60, NOW + 60),
        ([slow(0.0), helps(exit_code=70), flushed], 0.0, 0.0),
        # no process for it
        ([slow(0.0), lambda second: second.not_started(second.start(), NOW + 1)], NOW + 1, NOW + 1),
    ],
)
def test_when_a_second_courier_is_due(events: list[SecondEvent], next_due: float, ids_due: float) -> None:
    second = Second()
    for event in events:
        event(second)
    assert (second.next_due(), second.ids_due()) == (next_due, ids_due)


def test_a_flush_makes_everything_due_for_the_second_courier_once() -> None:
    second = Second()
    slow()(second)
    flushed(second)
    second.not_started(second.start(), NOW)
    assert second.start()
    second.end(0, NOW)
    assert not second.start()
