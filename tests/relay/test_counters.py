"""What is counted: today since midnight by the machine's clock, also where that is set; the days before; what waits."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailrelay.core import clock, counters
from mailrelay.daemon import days
from mailrelay.daemon.days import Days

SEEN = [5] * 16
NONE = [0] * 16
DAY = 86400.0
NOON = 20_000 * DAY + DAY / 2  # 2024-10-04


@pytest.fixture(autouse=True)
def utc() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def grown(by: int) -> list[int]:
    return [count + by for count in SEEN]


def test_the_day_counts_from_the_start_and_anew_from_midnight() -> None:
    day = Days(SEEN, NOON)
    assert not day.turn(SEEN, NOON + 3600)
    assert day.today(grown(3)) == {"since": NOON, **dict.fromkeys(counters.NAMES.values(), 3)}
    assert day.turn(grown(3), NOON + DAY / 2 + 90), "and is told once"
    assert not day.turn(grown(4), NOON + DAY / 2 + 100)
    assert day.today(grown(4)) == {"since": 20_001 * DAY, **dict.fromkeys(counters.NAMES.values(), 1)}
    assert [(one["day"], one["accepted"]) for one in day.facts(grown(4), NOON + DAY / 2 + 100)] == [
        ("2024-10-04", 3), ("2024-10-05", 1),
    ]  # fmt: skip


def test_a_clock_that_is_set_makes_another_day() -> None:
    day = Days(SEEN, 20_000 * DAY + 100)
    assert day.turn(grown(2), 20_300 * DAY + 50)
    assert day.today(grown(2))["since"] == 20_300 * DAY


def test_seven_days_are_known_today_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "trusted", lambda: True)
    day = Days(NONE, NOON)
    for number in range(1, 10):
        assert day.turn([number * 10] * 16, NOON + number * DAY)
    found = day.facts([95] * 16, NOON + 9 * DAY)
    assert [one["day"] for one in found] == [f"2024-10-{number:02}" for number in range(7, 14)]
    assert [one["delivered"] for one in found] == [10] * 6 + [5]
    assert day.encode([95] * 16).count(b"\n") == 7, "what is shown no more is not kept"


def test_days_outlast_the_relay_and_today_goes_on(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    day = Days(NONE, NOON)
    day.turn([7] * 16, NOON + DAY)
    days.write(str(tmp_path), day.encode([9] * 16))
    later = Days(NONE, NOON + DAY + 3600)
    later.restore(days.read(str(tmp_path)))
    assert later.facts([1] * 16, NOON + DAY + 3600) == [
        {"day": "2024-10-04", **dict.fromkeys(counters.NAMES.values(), 7)},
        {"day": "2024-10-05", **dict.fromkeys(counters.NAMES.values(), 3)},
    ]
    assert later.today([1] * 16)["since"] == 20_001 * DAY, "that is when this day's counting began"
    assert sorted(os.listdir(tmp_path)) == ["days", "tmp"] and not os.listdir(tmp_path / "tmp")


@pytest.mark.parametrize(
    "text",
    [b"\xff\0 = \n", b"2024-10-04 since", b"2024-10-04 accepted=-1", b"2024-10-04 accepted=9" + b"9" * 5000, b"x=1"],
)
def test_what_is_no_day_is_left_out(text: bytes) -> None:
    day = Days(NONE, NOON)
    day.restore(text)
    assert day.facts(NONE, NOON) == [{"day": "2024-10-04", **dict.fromkeys(counters.NAMES.values(), 0)}]


def test_what_another_user_puts_in_its_place_is_not_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("2024-10-04 accepted=1\n")
    (tmp_path / "days").symlink_to(secret)
    assert days.read(str(tmp_path)) == b""
    (tmp_path / "days").unlink()
    os.mkfifo(tmp_path / "days")
    assert days.read(str(tmp_path)) == b"", "and it does not wait for a writer"


def test_what_waits_is_counted_by_two_couriers_and_corrected_by_a_look() -> None:
    counts = counters.counters()
    second = counters.of_second(counts)
    for one in (counts, second, second):
        counters.begin_waiting(one)
    counters.end_waiting(counts)
    assert counters.waiting(counters.totals(counts)) == 2
    for seen in (7, 1, 0):
        counters.correct_waiting(counts, seen)
        assert counters.waiting(counters.totals(counts)) == seen
