"""The courier in this process, with a scripted provider where it delivers; the clock is set forward by hand."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mailrelay.config import schema
from mailrelay.config.machine import ThisMachine
from mailrelay.core import clock, counters
from mailrelay.core.ledger import Ledger
from mailrelay.courier import courier, expiry, notify
from mailrelay.courier.courier import Courier
from mailrelay.spool import spool
from mailrelay.spool.message import Message
from mailrelay.spool.spool import Envelope, Spool
from tests.support.relay import smarthost
from tests.support.scripted_provider import Action, Drop, DropAfter, Say, ScriptedProvider, Step

FAR = f"{clock.boottime() + 3600:.3f}"
pytestmark = pytest.mark.usefixtures("roles_pipes")

NOBODY = 2526  # a port that is never connected to


@pytest.fixture(autouse=True)
def _no_lingering(monkeypatch: pytest.MonkeyPatch) -> None:
    """A courier leaves as soon as nothing is due."""
    monkeypatch.setattr(courier, "_LINGER", 0.0)


class Time:
    """CLOCK_BOOTTIME, as it is set."""

    def __init__(self) -> None:
        self.now = float(int(clock.boottime()))


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    found = Time()
    monkeypatch.setattr(clock, "boottime", lambda: found.now)
    return found


class Desk:
    """One courier after the other on the same spool, and what they report; each knows what those before it learnt."""

    def __init__(self, box: Spool, sections: str, *options: str, state: dict[str, list[str]] | None = None) -> None:
        main = "".join(f"\toption {option}\n" for option in ("hostname 'relay.example.net'", *options))
        found, faults, _ = schema.check(f"config mailrelay 'main'\n{main}{sections}".encode(), "config", ThisMachine())
        assert found is not None, list(map(str, faults))
        self.settings = found
        self.box = box
        self.state = state or {}
        self.counters = counters.counters()
        self.ledger = Ledger(box.root)
        self.wake_r, self.wake_w = os.pipe2(os.O_NONBLOCK)
        self.report_r, self.report_w = os.pipe2(os.O_NONBLOCK)

    def courier(self, *, flush: bool = False) -> Courier:
        state = dict(self.state)
        return Courier(
            self.settings, self.box, self.counters, self.wake_r, self.report_w, state, self.ledger, flush=flush
        )

    def run(self, *, flush: bool = False) -> tuple[float, float]:
        """Let a courier live its life: when the next one is due, and until when no smarthost may be tried."""
        if flush:  # as the supervisor does
            self.state = {name: words for name, words in self.state.items() if not name.startswith("host ")}
        self.courier(flush=flush).run(scan=True)
        for line in os.read(self.report_r, 65536).decode().splitlines():
            kind, *words = line.split("\t")
            if kind == "remember":
                self.state[words[0]] = words[1:]
            elif kind == "forget":
                self.state.pop(words[0], None)
        assert kind == "leaving"
        return float(words[0] or "inf"), float(words[1])

    def queue(self, state: str = spool.QUEUE) -> list[str]:
        return self.box.ids(state)


def two(first: str = "", second: str = "") -> str:
    return smarthost(NOBODY, "a", "priority '5'") + first + smarthost(NOBODY, "b", "priority '20'") + second


def put(
    box: Spool, sender: bytes = b"plc@example.org", *recipients: bytes, client: str = "192.168.1.5", subject: str = "x"
) -> str:
    envelope = Envelope(sender, list(recipients) or [b"a@example.org"], client)
    return box.submit(envelope, [f"Subject: {subject}\r\n\r\nx\r\n".encode()])


def subjects(provider: ScriptedProvider) -> list[str]:
    return [mail.data.split(b"Subject: ")[1].split(b"\r")[0].decode() for mail in provider.messages]


def age(box: Spool, queue_id: str, monkeypatch: pytest.MonkeyPatch, days: float) -> None:
    """As if it had come in so long ago."""
    real = Envelope.age
    started = box.open(queue_id)
    received = started.envelope.received
    started.close()
    monkeypatch.setattr(Envelope, "age", lambda self: real(self) + (days * 86400 if self.received == received else 0.0))


def test_mail_put_aside_goes_back_to_the_first_smarthost_when_the_second_fails(box: Spool) -> None:
    first = Desk(box, two(), state={"host b": [FAR, "1"]}).courier()
    queue_id = put(box)
    first.queue.make_ready("b", queue_id)
    found = first.assignment.next_smarthost()
    assert found is not None and found.name == "a"
    assert first.queue.next_for("a") == queue_id


def test_mail_expires_also_while_only_its_own_smarthost_rests(box: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    own = "\tlist sender '@shop.example'\n"
    desk = Desk(box, two(first=own), state={"host a": [FAR, "1"]})
    queue_id = put(box, b"plc@shop.example")
    age(box, queue_id, monkeypatch, 6)
    desk.run()
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
    desk.run()
    assert (box.ids(spool.QUEUE), box.ids(spool.FAIL)) == ([doubtful], [old])


def test_the_queue_is_looked_at_even_while_all_smarthosts_rest_for_a_day(box: Spool) -> None:
    until = clock.boottime() + 86000
    desk = Desk(box, two(), state={"host a": [f"{until:.3f}", "1"], "host b": [f"{until:.3f}", "1"]})
    put(box)
    due, blocked = desk.run()
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
            assert desk.run()[0] > clock.boottime(), "it is tried again"
        assert box.ids(spool.QUEUE) == [queue_id]


def test_what_cannot_be_recorded_is_tried_later_and_ends_nothing(box: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    put(box)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    desk = Desk(box, two("\tlist sender '@elsewhere.example'\n", "\tlist sender '@elsewhere.example'\n"))
    monkeypatch.setattr(Message, "set_statuses", full)
    assert desk.run()[0] > clock.boottime()


def recording(error: int) -> Callable[..., None]:
    def refuse(*_: Any) -> None:
        raise OSError(error, os.strerror(error))

    return refuse


def test_what_cannot_be_deleted_is_sent_once_and_the_owner_is_told(
    box: Spool, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(notify.Notices, "disk", lambda self, reason: told.append(reason))
    with ScriptedProvider() as provider:
        desk = Desk(box, smarthost(provider))
        put(box)
        with monkeypatch.context() as patch:
            patch.setattr(Message, "delete", recording(errno.EIO))
            for count in range(1, 5):
                due, _ = desk.run()
                assert due == time.now + 900, "it is not looked at all the time"
                assert len(told) == max(0, count - 2)
                desk.run()
                time.now = due
            assert desk.run(flush=True)[0] > time.now
        assert (len(desk.queue()), len(provider.messages)) == (1, 1)
        time.now += 900
        assert desk.run() == (float("inf"), 0.0)
        assert (desk.queue(), len(provider.messages)) == ([], 1)
        assert desk.ledger.empty(), "nothing is remembered that the disk knows"


def test_who_was_served_is_not_sent_to_again_although_the_disk_does_not_say_so(
    box: Spool, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = {
        "rcpt:2": ["450 4.2.1 later"] * 2,
        "rcpt:1": [None, "450 4.2.1 later"],
        "rcpt:3": ["550 5.1.1 no such user"],
    }
    with ScriptedProvider(script) as provider:
        desk = Desk(box, smarthost(provider))
        queue_id = put(box, b"x@x.org", b"a@x.org", b"b@x.org", b"c@x.org")
        with monkeypatch.context() as patch:
            patch.setattr(Message, "set_statuses", recording(errno.ENOSPC))
            for _ in range(2):
                time.now = desk.run()[0]
        for _ in range(2):
            time.now = desk.run()[0]
        assert [mail.recipients for mail in provider.messages] == [[b"a@x.org"], [b"b@x.org"]]
        assert (desk.queue(), desk.queue(spool.FAIL)) == ([], [queue_id])
        assert desk.ledger.empty()


def test_a_directory_that_cannot_be_synced_ends_nothing(box: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedProvider() as provider:
        desk = Desk(box, smarthost(provider))
        put(box)
        monkeypatch.setattr(box, "sync", recording(errno.EIO))
        desk.run()
        assert (desk.queue(), len(provider.messages)) == ([], 1)


def test_what_a_kill_left_settled_but_in_the_queue_is_put_where_it_belongs(box: Spool) -> None:
    queue_id = put(box)
    with box.open(queue_id) as message:
        message.set_statuses([spool.FAILED])
    with ScriptedProvider() as provider:
        desk = Desk(box, smarthost(provider))
        desk.run()
        assert (desk.queue(), desk.queue(spool.FAIL), provider.connections) == ([], [queue_id], 0)


def test_failed_mail_without_a_known_age_is_not_asked_after_every_minute(
    box: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue_id = put(box)
    with box.open(queue_id) as message:
        message.move(spool.FAIL)
    monkeypatch.setattr(clock, "trusted", lambda: False)
    monkeypatch.setattr(clock, "boottime", lambda: 90 * 86400.0)
    assert expiry.expire_failed(box, 7 * 86400) == 86400.0
    assert box.ids(spool.FAIL) == [queue_id]


# ---- with a provider ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["mail", "rcpt", "data", "dot"])
def test_a_4xx_answer_lets_the_message_wait_and_go_later(box: Spool, time: Time, step: str) -> None:
    with ScriptedProvider({step: ["451 4.3.0 not now", None]}) as provider:
        desk = Desk(box, smarthost(provider))
        queue_id = put(box)
        due, blocked = desk.run()
        assert due == pytest.approx(time.now + 30, abs=0.1) and not blocked
        assert desk.run()[0] == due, "it waits"
        assert (desk.queue(), provider.count("connect")) == ([queue_id], 1)
        time.now = due
        assert desk.run() == (float("inf"), 0.0)
        assert (desk.queue(), len(provider.messages)) == ([], 1)


@pytest.mark.parametrize("step", ["mail", "rcpt", "data", "dot"])
def test_a_5xx_answer_fails_the_message_and_the_next_one_goes(box: Spool, step: str) -> None:
    with ScriptedProvider({step: ["550 5.1.1 never", None]}) as provider:
        desk = Desk(box, smarthost(provider))
        put(box)
        last = put(box)  # and so it goes first
        desk.run()
        assert (desk.queue(), desk.queue(spool.FAIL), len(provider.messages)) == ([], [last], 1)
        with box.open(last, spool.FAIL) as message:
            assert "never" in message.answer and message.attempts == 1


@pytest.mark.parametrize("step", ["connect", "ehlo", "mail", "rcpt", "data", "content", "dot"])
def test_a_connection_lost_at_any_step_loses_nothing(box: Spool, time: Time, step: str) -> None:
    with ScriptedProvider({step: [Drop(), None]}) as provider:
        desk = Desk(box, smarthost(provider))
        put(box)
        time.now = max(desk.run())
        assert (len(desk.queue()), provider.messages) == (1, [])
        desk.run()
        assert (desk.queue(), len(provider.messages)) == ([], 1)


def test_an_answer_lost_after_the_dot_sends_the_message_again(
    box: Spool, time: Time, capfd: pytest.CaptureFixture[str]
) -> None:
    with ScriptedProvider({"dot": [DropAfter(), None]}) as provider:
        desk = Desk(box, smarthost(provider))
        queue_id = put(box)
        time.now = desk.run()[0]
        assert f"answer-lost id={queue_id}" in capfd.readouterr().err
        desk.run()
        assert ([mail.data.count(b"\r\n\r\nx\r\n") for mail in provider.messages], desk.queue()) == ([1, 1], [])


def test_a_server_that_hangs_up_between_two_messages_costs_the_second_no_attempt(box: Spool) -> None:
    with ScriptedProvider({"dot#1": Say("250 2.0.0 ok, and bye")}) as provider:
        desk = Desk(box, smarthost(provider))
        put(box)
        put(box)
        desk.run()
        assert (desk.queue(), provider.connections) == ([], 2), "both are through"


def test_mail_that_was_tried_for_too_long_fails_with_the_last_answer(
    box: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ScriptedProvider({"rcpt": "450 4.2.2 mailbox full"}) as provider:
        desk = Desk(box, smarthost(provider))
        queue_id = put(box)
        age(box, queue_id, monkeypatch, 6)
        desk.run()
        assert (desk.queue(), desk.queue(spool.FAIL)) == ([], [queue_id])
        with box.open(queue_id, spool.FAIL) as message:
            assert message.answer.startswith("4.4.7 Given up after 432000 s: 450 4.2.2 mailbox full")


def test_that_mail_has_left_is_synced_after_every_32_and_when_the_connection_is_idle(
    box: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ScriptedProvider() as provider:
        desk = Desk(box, smarthost(provider))
        for _ in range(70):
            put(box)
        left: list[int] = []
        monkeypatch.setattr(box, "sync", lambda state: left.append(70 - len(desk.queue(state))))
        desk.run()
        assert left == [32, 64, 70]


@pytest.mark.parametrize("banner", ["554 5.7.1 go away", b"HTTP/1.1 400 Bad Request\r\n\r\n", "421 busy"])
def test_a_smarthost_that_will_not_talk_makes_no_message_fail(box: Spool, time: Time, banner: str | bytes) -> None:
    with ScriptedProvider({"banner": [banner]}) as provider:
        desk = Desk(box, smarthost(provider))
        for _ in range(3):
            put(box)
        time.now = desk.run()[1]
        assert (len(desk.queue()), desk.queue(spool.FAIL), provider.count("connect")) == (3, [], 1)
        desk.run()
        assert (desk.queue(), desk.queue(spool.FAIL), len(provider.messages)) == ([], [], 3)


def test_refused_recipients_fail_while_the_others_go_on(box: Spool, time: Time) -> None:
    with ScriptedProvider({"rcpt#2": "550 5.1.1 no such user", "rcpt#3": "450 4.2.1 later"}) as provider:
        desk = Desk(box, smarthost(provider))
        queue_id = put(box, b"x@x.org", b"a@x.org", b"b@x.org", b"c@x.org")
        time.now = desk.run()[0]
        desk.run()
        assert [mail.recipients for mail in provider.messages] == [[b"a@x.org"], [b"c@x.org"]]
        assert (desk.queue(), desk.queue(spool.FAIL)) == ([], [queue_id]), "the refused one is kept in failed/"


def test_all_recipients_refused_but_data_accepted_sends_nothing(box: Spool) -> None:
    with ScriptedProvider({"rcpt": ["550 5.1.1 no such user"] * 2, "data": ["354 go ahead"]}) as provider:
        desk = Desk(box, smarthost(provider))
        queue_id = put(box, b"x@x.org", b"a@x.org", b"b@x.org")
        desk.run()
        assert desk.queue(spool.FAIL) == [queue_id]
        assert [mail for mail in provider.messages if mail.raw] == []


def test_one_mail_that_breaks_every_connection_does_not_stop_the_others(box: Spool, time: Time) -> None:
    poisoned = False

    def script(step: Step) -> Action:
        nonlocal poisoned
        if step.name == "mail":
            poisoned = b"poison" in step.argument
        return Drop() if step.name == "dot" and poisoned else None

    with ScriptedProvider(script) as provider:
        desk = Desk(box, smarthost(provider))
        put(box, subject="a")
        put(box, subject="b")
        poison = put(box, b"poison@example.net")
        put(box, subject="c")
        due, blocked = desk.run()
        assert (subjects(provider), desk.queue()) == (["c", "b", "a"], [poison])
        assert due == pytest.approx(time.now + 30, abs=0.1) and not blocked


def test_a_smarthost_that_breaks_at_every_mail_is_left_alone_longer_each_time(box: Spool, time: Time) -> None:
    with ScriptedProvider({"mail": Drop()}) as provider:
        desk = Desk(box, smarthost(provider), "retry_min '1'", "retry_max '60'")
        for _ in range(30):
            put(box)
        for number, wait in enumerate((1, 2, 4, 8, 16, 32, 60, 60), start=1):
            began, (_, blocked) = time.now, desk.run()
            assert blocked == pytest.approx(began + wait, abs=0.01)
            assert provider.count("connect") == 2 * number, "a second message may fare better than the first"
            time.now = blocked
        assert len(desk.queue()) == 30


def test_a_refused_login_is_told_to_the_owners_program_once_not_at_each_try(
    box: Spool, time: Time, tmp_path: Path
) -> None:
    program = tmp_path / "notify"
    program.write_text(f'#!/bin/sh\necho "$MAILRELAY_EVENT" >>{tmp_path}/heard\n')
    program.chmod(0o755)
    with ScriptedProvider(users={"shop": "right"}) as provider:
        login = ("auth 'plain'", "username 'shop'", "password 'wrong'")
        section = smarthost(provider, "a", *login).replace("\toption auth 'none'\n", "")
        desk = Desk(box, section, f"notify '{program}'")
        put(box)
        for _ in range(3):
            _, blocked = desk.run()
            assert blocked == pytest.approx(time.now + 900, abs=0.01), "providers lock accounts that try too often"
            time.now = blocked
        assert provider.count("auth") == 3
        assert (tmp_path / "heard").read_text().split() == ["login-refused"]


def test_no_more_messages_a_minute_than_the_owner_says(box: Spool, time: Time) -> None:
    with ScriptedProvider() as provider:
        desk = Desk(box, smarthost(provider, "a", "rate '3/minute'"))
        for _ in range(5):
            put(box)
        _, blocked = desk.run()
        assert blocked == pytest.approx(time.now + 60, abs=0.01), "the rest waits for the next minute"
        assert (len(provider.messages), len(desk.queue())) == (3, 2)
        time.now = blocked
        desk.run()
        assert (len(provider.messages), desk.queue()) == (5, [])


def test_todays_alarm_does_not_wait_behind_last_weeks(box: Spool) -> None:
    with ScriptedProvider({"banner": ["421 no"], "mail": ["451 4.3.0 not now"]}) as provider:
        desk = Desk(box, smarthost(provider))
        put(box, subject="first")
        desk.run(flush=True)
        desk.run(flush=True)
        for i in range(3):
            put(box, subject=f"chatty {i}")
        put(box, client="192.168.1.6", subject="other")
        desk.run(flush=True)
        sent = subjects(provider)
        assert sent.index("other") <= 1
        sent.remove("other")
        assert sent == ["chatty 2", "chatty 1", "chatty 0", "first"]


def test_the_next_smarthost_takes_over_and_the_first_comes_back(box: Spool, time: Time) -> None:
    with ScriptedProvider({"banner": ["421 no"]}) as first, ScriptedProvider() as second:
        desk = Desk(box, smarthost(second, "b", "priority '20'") + smarthost(first, "a", "priority '5'"))
        for seconds, expected in ((0, (0, 1)), (29, (0, 2)), (1, (1, 2)), (1, (2, 2))):
            time.now += seconds
            put(box)
            desk.run()
            assert (len(first.messages), len(second.messages)) == expected


def test_a_senders_own_smarthost_gets_its_mail(box: Spool) -> None:
    with ScriptedProvider() as general, ScriptedProvider() as own:
        senders = ("list sender '@shop.example'", "list sender 'cam@x.org'")
        desk = Desk(box, smarthost(general, "a") + smarthost(own, "b", *senders))
        for sender in (b"PLC@Shop.example", b"cam@x.org", b"other@x.org"):
            put(box, sender)
        desk.run()
        assert {mail.sender for mail in own.messages} == {b"PLC@Shop.example", b"cam@x.org"}
        assert [mail.sender for mail in general.messages] == [b"other@x.org"]


def test_mail_whose_sender_has_no_smarthost_fails_and_the_rest_goes(
    box: Spool, capfd: pytest.CaptureFixture[str]
) -> None:
    with ScriptedProvider() as provider:
        desk = Desk(box, smarthost(provider, "a", "list sender '@shop.example'"))
        queue_id = put(box, b"other@x.org")
        put(box, b"plc@shop.example")
        desk.run()
        assert (desk.queue(), desk.queue(spool.FAIL), len(provider.messages)) == ([], [queue_id], 1)
        log = capfd.readouterr().err
        assert "No smarthost" in log[log.index(f"failed id={queue_id}") :]


# ---- what the postmaster hears --------------------------------------------------------------------------------------


def test_the_postmaster_hears_of_failed_mail_but_never_of_a_failed_notice(box: Spool) -> None:
    script: dict[str, Any] = {
        "rcpt": ["550 5.1.1 no such user", "550 5.1.1 no postmaster either", "550 5.1.1 no such user"]
    }
    with ScriptedProvider(script) as provider:
        desk = Desk(box, smarthost(provider), "postmaster 'boss@example.org'")
        first = put(box)
        assert desk.run()[0] == 0.0, "the notice is in the queue"
        for _ in range(2):
            desk.run()
            assert (desk.queue(), len(desk.queue(spool.FAIL))) == ([], 2), "no notice about a notice"
        put(box, subject="lost one")
        desk.run()
        desk.run()
        [notice] = provider.messages
        assert (notice.sender, notice.recipients) == (b"", [b"boss@example.org"])
        assert b"no such user" in notice.data and b"lost one" in notice.data
        assert first.encode() not in notice.data


def test_the_notice_leaves_from_the_accounts_own_address(box: Spool) -> None:
    with ScriptedProvider({"rcpt": ["550 5.1.1 no such user"]}) as provider:
        login = "username 'me@account.example'", "password 'secret'"
        host = smarthost(provider, "a", *login, "from 'alarm@plant.example'", "list sender '@plant.example'")
        desk = Desk(box, host, "postmaster 'boss@example.org'")
        put(box, b"plc@plant.example")
        for _ in range(2):
            desk.run()
        [notice] = provider.messages
        assert (notice.sender, notice.recipients) == (b"me@account.example", [b"boss@example.org"])
        assert b"\r\nFrom: Mail relay <me@account.example>\r\n" in notice.data
        assert b"Reply-To" not in notice.data and b"X-Original" not in notice.data


def test_each_provider_gets_mail_from_the_sender_that_it_takes(box: Spool, time: Time) -> None:
    with ScriptedProvider({"connect": Drop()}) as first, ScriptedProvider() as spare:
        sections = smarthost(first, "a", "priority '5'") + smarthost(spare, "b", "from 'you@example.org'")
        desk = Desk(box, sections, "sender 'alarms@company.example'")
        put(box)
        desk.run()
        [mail] = spare.messages
        assert mail.sender == b"you@example.org"
        assert b"\r\nFrom: you@example.org\r\n" in mail.data


def test_a_mail_from_the_null_sender_is_from_the_sender_that_is_set_and_its_failure_told(box: Spool) -> None:
    with ScriptedProvider({"rcpt": ["550 5.1.1 no such user"]}) as provider:
        desk = Desk(box, smarthost(provider), "postmaster 'boss@example.org'", "sender 'alarm@acct.example'")
        put(box, b"", subject="UPS on battery")
        for _ in range(2):
            desk.run()
        [notice] = provider.messages
        assert notice.sender == b"alarm@acct.example" and b"UPS on battery" in notice.data
        put(box, b"")
        desk.run()
        assert provider.messages[1].sender == b"alarm@acct.example"


def test_a_mail_from_the_null_sender_is_never_answered(box: Spool) -> None:
    with ScriptedProvider({"rcpt": "550 no"}) as provider:
        desk = Desk(box, smarthost(provider), "postmaster 'boss@example.org'")
        queue_id = put(box, b"")
        assert desk.run()[0] > 0.0
        assert (desk.queue(), desk.queue(spool.FAIL)) == ([], [queue_id])


def test_on_a_disk_that_can_only_be_read_mail_waits_and_the_owner_hears_that_and_of_what_is_stuck(
    box: Spool, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []
    monkeypatch.setattr(notify, "_run", lambda program, event, **_: heard.append(f"{program} {event}"))
    open_file = os.open

    def read_only(path: Any, flags: int, *mode: int) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR) and str(path).startswith(box.root):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return open_file(path, flags, *mode)

    with ScriptedProvider() as provider:
        desk = Desk(box, smarthost(provider), "notify '/bin/true'")
        queue_id = put(box)
        monkeypatch.setattr(os, "open", read_only)
        due, _ = desk.run()
        assert due == time.now + 900
        for _ in range(4):
            time.now = due
            due, _ = desk.run()
        assert (provider.messages, desk.queue()) == ([], [queue_id])
        assert [event for event in heard if "true" in event] == ["/bin/true disk", "/bin/true stuck"]
