"""When a smarthost may be tried, and who is to blame, as tables; what one courier learns the next one knows."""

from __future__ import annotations

import pytest

from mailrelay.config import schema
from mailrelay.config.machine import ThisMachine
from mailrelay.courier.failure import Failure
from mailrelay.courier.routing import Routes, retry_wait
from mailrelay.smtp.reply import Reply
from mailrelay.smtp.transaction import Transaction

CONFIG = """
config mailrelay 'main'
	option hostname 'relay.example.net'
	option retry_min '30'
	option retry_max '900'

config smarthost 'a'
	option host 'a.example'
	option priority '5'
	{}

config smarthost 'b'
	option host 'b.example'
	option priority '20'
"""
NOW = 1000.0
SENDER = b"plc@example.org"


class Desk:
    """Routes, and what they report: the state that the next courier gets."""

    def __init__(self, option: str = "", state: dict[str, list[str]] | None = None) -> None:
        found, faults, _ = schema.check(CONFIG.format(option).encode(), "config", ThisMachine())
        assert found is not None, faults
        self.state = {} if state is None else state
        self.option = option
        self.routes = Routes(found, dict(self.state), self.report)
        self.a, self.b = found.smarthosts

    def report(self, kind: str, name: str, *words: str) -> None:
        if kind == "remember":
            self.state[name] = list(words)
        else:
            del self.state[name]

    def next_courier(self) -> Desk:
        return Desk(self.option, self.state)

    def fail(self, stage: str = "connect", cause: str = "refused", *, code: int = 0, under_way: bool = False,
             settled: int = 0, now: float = NOW) -> bool:  # fmt: skip
        failure = Failure(stage, cause, "no", reply=Reply(code, "", "no") if code else None)
        failure.in_flight = [Transaction(SENDER, [SENDER], list)] if under_way else []
        return self.routes.connection_failed(self.a, failure, settled, now)

    def chosen(self, now: float = NOW) -> str | None:
        smarthost = self.routes.choose(SENDER, now)
        return smarthost.name if smarthost else None


@pytest.mark.parametrize(
    ("failures", "wait"), [(1, 30), (2, 60), (3, 120), (4, 240), (5, 480), (6, 900), (7, 900), (10**6, 900)]
)
def test_each_failure_in_a_row_doubles_the_wait_up_to_a_bound(failures: int, wait: float) -> None:
    assert retry_wait(failures, 30, 900) == wait


def test_a_smarthost_that_fails_is_left_alone_longer_each_time_by_each_courier() -> None:
    desk, now = Desk(), NOW
    for wait in (30, 60, 120, 240, 480, 900, 900):
        desk = desk.next_courier()
        assert desk.chosen(now) == "a"
        assert desk.fail(now=now)
        assert desk.chosen(now + wait - 1) == "b" and desk.chosen(now + wait) == "a"
        now += wait
    desk.routes.succeeded(desk.a)
    assert desk.state == {} and desk.next_courier().chosen(NOW) == "a"


@pytest.mark.parametrize("cause", ["login-refused", "login-required", "no-common-auth"])
def test_a_login_that_was_refused_is_not_tried_again_soon(cause: str) -> None:
    desk = Desk()
    desk.fail("login", cause)
    assert desk.routes.available_at(desk.a) == NOW + 900


@pytest.mark.parametrize(
    ("stage", "code", "under_way", "settled", "blamed", "blamed_again"),
    [
        ("connect", 0, False, 0, True, True),
        ("banner", 554, False, 0, True, True),
        ("login", 535, True, 0, True, True),  # at MAIL, with a message under way
        ("mail", 0, True, 0, False, True),  # maybe it is that message alone, but not twice
        ("dot", 0, True, 0, False, True),
        ("data", 421, True, 0, True, True),  # it says that it is closing
        ("mail", 0, True, 5, False, False),  # it has been of use
        ("dot", 0, True, 5, False, False),
        ("dot", 421, True, 5, True, True),
        ("mail", 0, False, 5, False, False),
    ],
)
def test_whether_the_smarthost_or_the_message_is_to_blame(
    stage: str, code: int, under_way: bool, settled: int, blamed: bool, blamed_again: bool
) -> None:
    desk = Desk()
    for to_blame in (blamed, blamed_again):
        assert desk.fail(stage, "lost", code=code, under_way=under_way, settled=settled) is to_blame
    assert (desk.routes.available_at(desk.a) > NOW) is blamed_again


def test_after_a_success_one_more_message_may_break_the_connection() -> None:
    desk = Desk()
    assert not desk.fail("dot", "lost", under_way=True)
    desk.routes.succeeded(desk.a)
    assert not desk.fail("dot", "lost", under_way=True)
    assert desk.fail("dot", "lost", under_way=True)


@pytest.mark.parametrize(
    ("option", "times", "choices"),
    [
        ("", [0] * 5, "aaaaa"),
        ("option rate '3/minute'", [0, 0, 0, 1, 59, 60, 60, 60, 60], "aaabbaaab"),
        ("option rate '3/minute'", [0, 59, 59, 60, 61, 61, 61], "aaaaaab"),  # a window begins with its first message
        ("option rate '2/day'", [0, 10, 20, 86399, 86400, 86401, 86402], "aabbaab"),
    ],
)
def test_no_more_messages_than_the_owner_says_however_many_couriers_send_them(
    option: str, times: list[int], choices: str
) -> None:
    desk = Desk(option)
    taken = ""
    for after in times:
        desk = desk.next_courier()
        now = NOW + after
        smarthost = desk.routes.choose(SENDER, now)
        assert smarthost is not None
        desk.routes.count_message(smarthost, now)
        taken += smarthost.name
    assert taken == choices
    assert bool(desk.state) is bool(option), "what has no limit is not counted"


def test_when_the_first_smarthost_may_be_tried_again() -> None:
    desk = Desk("list sender 'plc@example.org'")
    assert desk.routes.first_available_at() <= NOW
    desk.fail()
    assert desk.routes.first_available_at() <= NOW, "b is there"
    assert desk.routes.first_available_at(SENDER) == NOW + 30, "but not for this sender"
    assert desk.chosen() is None
