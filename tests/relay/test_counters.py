"""What is counted today: since midnight by the machine's clock, also where that is set to another day."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from mailrelay.core import counters

SEEN = [5] * 16
DAY = 86400.0


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
    noon = 20_000 * DAY + DAY / 2
    day = counters.Day(SEEN, noon)
    assert not day.turn(SEEN, noon + 3600)
    assert day.counts(grown(3)) == {"since": noon, **dict.fromkeys(counters.NAMES.values(), 3)}
    assert day.turn(grown(3), noon + DAY / 2 + 90), "and is told once"
    assert not day.turn(grown(4), noon + DAY / 2 + 100)
    assert day.counts(grown(4)) == {"since": 20_001 * DAY, **dict.fromkeys(counters.NAMES.values(), 1)}


def test_a_clock_that_is_set_makes_another_day() -> None:
    day = counters.Day(SEEN, 20_000 * DAY + 100)
    assert day.turn(grown(2), 20_300 * DAY + 50)
    assert day.counts(grown(2))["since"] == 20_300 * DAY
