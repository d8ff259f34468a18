"""When a smarthost may be tried, and who is to blame, as tables; what one courier learns the next one knows."""

from __future__ import annotations

import pytest

from mailrelay.config import schema
from mailrelay.config.machine import ThisMachine
from mailrelay.courier import explain
from mailrelay.courier.failure import Failure
from mailrelay.courier.routing import Routes, retry_wait
from mailrelay.smtp.reply import Reply
from mailrelay.smtp.transaction import Transaction
from mailrelay.spool.spool import Envelope

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
LATER = NOW + 1e6
OVERFLOW = "option overflow '1'\n\t"
SENDER = b"plc@example.org"
MAIL = Envelope(SENDER, [SENDER], "192.168.1.5")


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
        return self.routes.connection_failed(self.a, failure, explain.explain(failure, self.a)[0], settled, now)

    def chosen(self, now: float = NOW) -> str | None:
        smarthost = self.routes.choose(MAIL, now)
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
    desk.routes.succeeded(desk.a, LATER)
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
    desk.routes.succeeded(desk.a, LATER)
    assert not desk.fail("dot", "lost", under_way=True)
    assert desk.fail("dot", "lost", under_way=True)


@pytest.mark.parametrize(
    ("option", "times", "choices"),
    [
        ("", [0] * 5, "aaaaa"),
        ("option rate '3/minute'", [0, 0, 0, 1, 59, 60, 60, 60, 60], "aaa--aaa-"),
        (OVERFLOW + "option rate '3/minute'", [0, 0, 0, 1, 59, 60, 60, 60, 60], "aaabbaaab"),
        ("option rate '3/minute'", [0, 59, 59, 60, 61, 61, 61], "aaaaaa-"),  # a window begins with its first message
        ("option rate '2/day'", [0, 10, 20, 86399, 86400, 86401, 86402], "aa--aa-"),
        (OVERFLOW + "option rate '2/day'", [0, 10, 20, 86399, 86400, 86401, 86402], "aabbaab"),
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
        smarthost = desk.routes.choose(MAIL, now)
        taken += smarthost.name if smarthost else "-"
        if smarthost is None:
            assert now < desk.routes.first_available_at(now) <= now + (86400 if "day" in option else 60)
            continue
        desk.routes.count_message(smarthost, now)
    assert taken == choices
    assert bool(desk.state) is bool(option), "what has no limit is not counted"


def test_when_the_first_smarthost_may_be_tried_again() -> None:
    desk = Desk("list sender 'plc@example.org'")
    assert desk.routes.first_available_at(NOW) <= NOW
    desk.fail()
    assert desk.routes.first_available_at(NOW) <= NOW, "b is there"
    assert desk.routes.first_available_at(NOW, MAIL) == NOW + 30, "but not for this sender"
    assert desk.chosen() is None


def test_mail_over_the_rate_goes_elsewhere_while_its_own_provider_rests_and_no_longer() -> None:
    desk = Desk("option rate '1/minute'")
    desk.routes.count_message(desk.a, NOW)
    assert desk.chosen() is None
    desk.fail(now=NOW + 1)
    assert desk.chosen(NOW + 2) == "b", "that one is down is why there is a second"
    assert desk.routes.first_available_at(NOW + 2) == NOW + 2
    assert desk.chosen(NOW + 31) is None
    assert desk.routes.first_available_at(NOW + 31) == NOW + 60


def test_when_mail_may_go_for_anybody_is_when_it_may_go_for_the_first_sender() -> None:
    desk = Desk("list sender 'plc@example.org'\n\toption rate '1/minute'")
    desk.routes.count_message(desk.a, NOW)
    assert desk.chosen() is None and desk.routes.first_available_at(NOW, MAIL) == NOW + 60
    assert desk.routes.first_available_at(NOW) == NOW, "others have b"


def mail(sender: bytes) -> Envelope:
    return Envelope(sender, [SENDER], "192.168.1.5")


@pytest.mark.parametrize(("verdict", "other"), [(explain.SETTING, "b"), (explain.SENDER, "a")])
def test_a_refused_setting_lets_the_smarthost_rest_and_a_refused_sender_only_that_one(verdict: str, other: str) -> None:
    desk = Desk()
    desk.routes.refused(desk.a, verdict, "one", MAIL, NOW)
    desk = desk.next_courier()
    assert desk.chosen(NOW + 29) == "b" and desk.chosen(NOW + 30) == "a"
    desk.routes.refused(desk.a, verdict, "one", MAIL, NOW)
    assert desk.chosen(NOW + 29) == "b" and desk.chosen(NOW + 30) == "a", "others may fare better"
    desk.routes.refused(desk.a, verdict, "another", MAIL, NOW)
    desk = desk.next_courier()
    assert desk.chosen(NOW + 899) == "b" and desk.chosen(NOW + 900) == "a"
    choice = desk.routes.choose(mail(b"other@example.org"), NOW)
    assert choice is not None and choice.name == other
    assert desk.routes.better_available_at(desk.b, MAIL) == NOW + 900
    assert desk.routes.better_available_at(desk.a, MAIL) is None


def test_senders_that_leave_as_one_are_refused_as_one() -> None:
    desk = Desk("option from 'alarms@example.org'")
    desk.routes.refused(desk.a, explain.SENDER, "one", MAIL, NOW)
    assert desk.routes.choose(mail(b"other@example.org"), NOW) is desk.b


@pytest.mark.parametrize("verdict", [explain.SETTING, explain.SENDER])
def test_what_was_refused_is_mended_by_what_is_taken_after_the_rest(verdict: str) -> None:
    desk = Desk()
    desk.routes.refused(desk.a, verdict, "one", MAIL, NOW)
    desk = desk.next_courier()
    assert not desk.routes.succeeded(desk.a, NOW + 10, MAIL), "it was on its way before"
    assert desk.chosen(NOW + 10) == "b"
    desk.routes.succeeded(desk.a, NOW + 900, mail(b"other@example.org"))
    assert (desk.chosen(NOW) == "a") is (verdict == explain.SETTING)
    assert desk.routes.succeeded(desk.a, NOW + 900, MAIL)
    assert desk.next_courier().chosen(NOW) == "a" and desk.state == {}


def test_what_is_known_of_refused_senders_is_bounded() -> None:
    desk = Desk()
    for number in range(200):
        desk.routes.refused(desk.a, explain.SENDER, f"{number}", mail(b"plc%d@example.org" % number), NOW)
    assert len(desk.state) == 50
    assert desk.routes.choose(mail(b"plc199@example.org"), NOW) is desk.b


@pytest.mark.parametrize(("option", "chosen"), [("", None), (OVERFLOW, "b")])
def test_mail_for_a_smarthost_whose_only_connection_is_taken_waits_for_it(option: str, chosen: str | None) -> None:
    desk = Desk(option)
    desk.routes.leave_alone(desk.a, NOW + 5)
    assert desk.chosen() == chosen
    assert desk.chosen(NOW + 5) == "a"
    assert desk.routes.first_available_at(NOW, MAIL) == (NOW if chosen else NOW + 5)
    assert desk.state == {}, "the next courier finds out itself"
