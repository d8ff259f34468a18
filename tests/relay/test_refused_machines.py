"""What machines on the LAN were refused, as the supervisor keeps it: bounded, counted, and news once a day."""

from __future__ import annotations

import os

import pytest

from mailrelay.core import clock, ipc
from mailrelay.daemon.refusals import Refusals

pytestmark = pytest.mark.usefixtures("roles_pipes")

TOO_MANY = "450 4.7.1 More than 2 messages a minute from you, try again later"


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    seconds = [1000.0]
    monkeypatch.setattr(clock, "boottime", lambda: seconds[0])
    monkeypatch.setattr(clock, "wall", lambda: seconds[0] + 1e9)
    return seconds


def test_refusals_are_counted_for_each_machine_and_reply_the_latest_first(now: list[float]) -> None:
    refusals = Refusals()
    ipc.write_refusal(refusals.pipe_w, "192.168.1.9", 1, TOO_MANY, "raise rate_limit", "machine-rate")
    ipc.write_refusal(refusals.pipe_w, "fe80::1%br-lan", 1, "552 5.3.4 larger", "", "")
    refusals.read()
    now[0] += 60
    ipc.write_refusal(refusals.pipe_w, "192.168.1.9", 7, TOO_MANY, "raise rate_limit", "machine-rate")
    refusals.read()
    first, second = refusals.facts()
    assert first == {
        "client": "192.168.1.9", "reply": TOO_MANY, "advice": "raise rate_limit", "advice_code": "machine-rate",
        "advice_values": {}, "count": 8, "since": 1000001000.0, "last": 1000001060.0,
    }  # fmt: skip
    assert (second["client"], second["count"]) == ("fe80::1%br-lan", 1)


def test_the_owner_is_told_of_each_machine_once_a_day_and_once_of_our_own_troubles(now: list[float]) -> None:
    refusals = Refusals()

    def news(client: str, reply: str) -> list[tuple[str, int]]:
        ipc.write_refusal(refusals.pipe_w, client, 1, reply, "", "")
        return [(told, count) for _, told, count, _ in refusals.read()]

    assert news("10.0.0.9", "452 4.3.1 no room") == [("452 4.3.1 no room", 1)]
    assert news("10.0.0.1", "451 4.3.0 not stored") == []
    assert news("10.0.0.1", TOO_MANY) == [(TOO_MANY, 1)]
    assert news("10.0.0.1", TOO_MANY) == news("10.0.0.1", "552 5.3.4 larger") == []
    assert len(news("10.0.0.2", "552 5.3.4 larger")) == 1
    now[0] += 86401
    assert news("10.0.0.1", TOO_MANY) == [(TOO_MANY, 3)]


def test_of_many_machines_a_bounded_number_is_kept_and_told(now: list[float]) -> None:
    refusals = Refusals()
    told = 0
    for number in range(500):
        ipc.write_refusal(refusals.pipe_w, f"10.0.{number // 250}.{number % 250}", 1, TOO_MANY, "", "")
        told += len(refusals.read())
    assert len(refusals.facts()) == 32 and refusals.facts()[0]["client"] == "10.0.1.249"
    assert told == 64


@pytest.mark.parametrize(
    "line",
    [
        b"10.0.0.1\t1\t450 x\tmachine-x",
        b"10.0.0.1\t0\t450 x\t\tmachine-x",
        b"10.0.0.1\t-5\t450 x\t\tmachine-x",
        b"10.0.0.1\t9999999999\t450 x\t\tmachine-x",
        b"10.0.0.1\tnan\t450 x\t\tmachine-x",
        b"\t1\t450 x\t\tmachine-x",
        b"<script>\t1\t450 x\t\tmachine-x",
        b"10.0.0.1\t1\tno code\t\tmachine-x",
        b"10.0.0.1\t1\t450 \x1b[2J\t\tmachine-x",
        b"10.0.0.1\t1\t450 x\t\x00\tmachine-x",
    ],
)
def test_what_a_listener_says_is_taken_as_from_a_stranger(line: bytes) -> None:
    refusals = Refusals()
    os.write(refusals.pipe_w, line + b"\n")
    assert refusals.read() == [] and refusals.facts() == []
