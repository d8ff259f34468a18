"""What the listener decides of clients over time, by tables, with the clock passed in."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from mailrelay.listener.limits import Pace, Rates, Repeats, keeps_out, least_useful, run_short
from mailrelay.smtp import replies

NO = str(replies.NO_ALIAS)


def main(command_timeout: float, min_data_rate: int) -> Any:
    return SimpleNamespace(command_timeout=command_timeout, min_data_rate=min_data_rate)


def test_a_client_has_its_share_of_every_minute_from_its_first_message_on() -> None:
    rates = Rates()
    for now, refused in [(0.0, False), (1.0, False), (2.0, True), (59.9, True), (60.0, False), (61.0, False)]:
        assert bool(rates.refusal("a", 2, now)) is refused, now
        assert rates.refusal("other", 2, now) is None and rates.refusal("a", 0, now) is None
        if not refused:
            rates.count("a", 2, now)
    assert str(rates.refusal("a", 2, 62.0)) == "450 4.7.1 More than 2 messages a minute from you, try again later"


def test_minutes_of_many_clients_are_forgotten_when_they_are_over() -> None:
    rates = Rates()
    for number in range(5000):
        rates.count(f"client {number}", 1, number / 10)
    assert len(rates._minutes) < 2000
    assert rates.refusal("client 4999", 1, 500.0)


def test_of_connections_that_send_at_once_no_more_than_the_share_are_taken_and_void_ones_are_given_back() -> None:
    rates = Rates()
    for now in (0.0, 1.0):
        assert rates.refusal("a", 2, now) is None
        rates.count("a", 2, now)
    assert rates.refusal("a", 2, 2.0), "two are coming in"
    rates.give_back("a", 1.0)
    assert rates.refusal("a", 2, 3.0) is None
    rates.count("a", 2, 3.0)
    assert rates.refusal("a", 2, 60.0) is None, "a new minute"
    rates.count("a", 2, 60.0)
    rates.give_back("a", 3.0)
    rates.count("a", 2, 61.0)
    assert rates.refusal("a", 2, 62.0), "what began in the last minute gives nothing to this one"


def test_what_happens_again_is_told_once_and_summed_up_every_minute() -> None:
    repeats = Repeats(0.0)
    assert [repeats.note("refused", "a", NO), repeats.note("refused", "a", NO)] == [True, False]
    assert repeats.note("refused", "b", NO) and repeats.note("aborted", "a", NO)
    assert repeats.summary(59.0) == []
    assert repeats.summary(60.0) == [("refused", "a", NO, 1)]
    assert repeats.summary(120.0) == [] and repeats.note("refused", "a", NO)


def test_of_what_happens_a_bounded_number_is_kept() -> None:
    repeats = Repeats(0.0)
    assert sum(repeats.note("refused", f"client {number}", NO) for number in range(1000)) == 64
    ((event, client, _, again),) = repeats.summary(60.0)
    assert (event, client, again) == ("refused", "others", 936), "that some are not told is told"
    assert repeats.summary(120.0) == []


def test_a_client_that_is_refused_in_many_ways_leaves_room_for_others() -> None:
    repeats = Repeats(0.0)
    assert sum(repeats.note("refused", "a", f"{NO} {number}") for number in range(1000)) == 32
    assert sum(repeats.note("refused", f"client {number}", NO) for number in range(1000)) == 32


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (replies.NO_ALIAS, True),
        (replies.NO_ROOM, True),
        (replies.MAIL_PARAMETER, True),
        (replies.NO_LOGIN, True),
        (replies.TLS_FIRST, True),
        (replies.NO_TLS, False),
        (replies.UNKNOWN, False),
        (replies.OK, False),
    ],
)
def test_what_is_wrong_with_another_command_keeps_no_mail_out(reply: Any, expected: bool) -> None:
    assert keeps_out(str(reply)) is expected


@pytest.mark.parametrize(
    ("in_data", "seen", "expected"),
    [
        (False, [(9.0, 0)], None),
        (False, [(10.0, 0)], replies.TIMED_OUT),
        (False, [(9.0, 1), (18.0, 1)], None),
        (False, [(9.0, 1), (19.0, 1)], replies.TIMED_OUT),
        (True, [(9.0, 0)], None),
        (True, [(10.0, 999)], replies.TOO_SLOW),
        (True, [(10.0, 1000), (19.0, 1000)], None),
        (True, [(10.0, 1000), (20.0, 1999)], replies.TOO_SLOW),
    ],
)
def test_who_gets_on_too_slowly(in_data: bool, seen: list[tuple[float, int]], expected: Any) -> None:
    """With 10 seconds for a command, and 100 bytes a second."""
    pace = Pace(0.0)
    results = [pace.fault(progress, now, in_data, main(10.0, 100), short=False) for now, progress in seen]
    assert results == [None] * (len(seen) - 1) + [expected]


def test_a_person_at_telnet_has_minutes_while_there_is_room_for_others() -> None:
    assert Pace(0.0).fault(0, 299.0, False, main(300.0, 64), short=False) is None
    assert Pace(0.0).fault(0, 300.0, False, main(300.0, 64), short=False) is replies.TIMED_OUT
    assert Pace(0.0).fault(16, 299.0, True, main(300.0, 64), short=False) is None, (
        "silent after the first line of its mail"
    )
    assert Pace(0.0).fault(64 * 299, 300.0, True, main(300.0, 64), short=False) is replies.TOO_SLOW


def test_while_connections_run_short_the_slow_ones_have_a_minute_and_half_a_minute_within_a_mail() -> None:
    assert Pace(0.0).fault(0, 59.0, False, main(300.0, 100), short=True) is None
    assert Pace(0.0).fault(0, 60.0, False, main(300.0, 100), short=True) is replies.TIMED_OUT
    assert Pace(0.0).fault(0, 29.0, True, main(300.0, 100), short=True) is None
    assert Pace(0.0).fault(2999, 30.0, True, main(300.0, 100), short=True) is replies.TOO_SLOW
    assert Pace(0.0).fault(0, 10.0, False, main(10.0, 100), short=True) is replies.TIMED_OUT, "the owner wants less"
    assert [used for used in range(9) if run_short(used, 8)] == [7, 8]


def test_any_speed_is_not_none() -> None:
    assert Pace(0.0).fault(1, 300.0, True, main(300.0, 0), short=False) is None
    assert Pace(0.0).fault(0, 300.0, True, main(300.0, 0), short=False) is replies.TOO_SLOW


def test_time_that_our_disk_takes_does_not_count() -> None:
    pace = Pace(0.0)
    pace.restart(0, 100.0)
    assert pace.fault(0, 109.0, False, main(10.0, 100), short=False) is None
    assert pace.fault(0, 110.0, False, main(10.0, 100), short=False) is replies.TIMED_OUT


def connection(connected_at: float, progress: int, *, closing: bool = False, waiting: bool = False) -> Any:
    commands = SimpleNamespace(progress=progress, closing=closing)
    return SimpleNamespace(connected_at=connected_at, session=SimpleNamespace(commands=commands, waiting=waiting))


@pytest.mark.parametrize(
    ("connections", "expected"),
    [
        ([], None),
        ([connection(0, 0, waiting=True)], None),
        ([connection(0, 50), connection(0, 20), connection(0, 90)], 1),
        ([connection(0, 50), connection(50, 30)], 0),
        ([connection(0, 50), connection(99, 0)], 0),
        ([connection(99, 0), connection(98.5, 0)], 1),
        ([connection(0, 0), connection(0, 90, closing=True)], 1),
        ([connection(0, 0, waiting=True), connection(0, 90)], 1),
    ],
)
def test_who_makes_room(connections: list[Any], expected: int | None) -> None:
    victim = least_useful(connections, 100.0)
    assert victim is (None if expected is None else connections[expected])
