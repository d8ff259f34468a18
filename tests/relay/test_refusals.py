"""What a refusal does to mail: who is at fault by the table of advice, and which smarthost it was."""

from __future__ import annotations

import pytest

from mailrelay.core import clock
from mailrelay.courier import courier
from mailrelay.spool import spool
from mailrelay.spool.spool import Spool
from tests.relay.test_courier import Desk, Time, age, put
from tests.support.relay import smarthost
from tests.support.scripted_provider import Action, Drop, ScriptedProvider, Step

pytestmark = pytest.mark.usefixtures("roles_pipes")

HELO = "504 5.5.2 <OpenWrt>: Helo command rejected: need fully-qualified hostname"
SENDER = "550 5.7.60 SMTP; Client does not have permissions to send as this sender"
NOBODY = "550 5.1.1 no such user"
SPAM = "554 5.7.1 this is spam"


@pytest.fixture(autouse=True)
def _no_lingering(monkeypatch: pytest.MonkeyPatch) -> None:
    """A courier leaves as soon as nothing is due."""
    monkeypatch.setattr(courier, "_LINGER", 0.0)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    """CLOCK_BOOTTIME, to be set forward by hand."""
    found = Time()
    monkeypatch.setattr(clock, "boottime", lambda: found.now)
    return found


def troubles(desk: Desk) -> list[str]:
    return [words[5] for name, words in desk.state.items() if name.startswith("trouble ")]


@pytest.mark.parametrize("step", ["mail", "rcpt", "data", "dot"])
@pytest.mark.parametrize(("answer", "cause"), [(HELO, "mail-refused"), (SENDER, "sender-refused")])
def test_a_refusal_over_a_setting_fails_no_mail_and_is_two_attempts_for_all_that_waits(
    box: Spool,
    time: Time,
    step: str,
    answer: str,
    cause: str,
) -> None:
    with ScriptedProvider({step: answer}) as provider:
        desk = Desk(box, smarthost(provider))
        ids = sorted(put(box) for _ in range(40))
        began = time.now
        while time.now < began + 900:
            time.now = max(*desk.run(), time.now + 1)
        assert (sorted(desk.queue()), desk.queue(spool.FAIL)) == (ids, [])
        assert provider.count("connect") <= 2 and provider.count("mail") <= 4, "those behind were on their way"
        assert troubles(desk) == [cause]
        time.now += 900
        provider.script = {}
        assert desk.run() == (float("inf"), 0.0)
        assert (desk.queue(), len(provider.messages), troubles(desk)) == ([], 40, [])


@pytest.mark.parametrize("answer", [HELO, SENDER])
def test_one_message_that_is_refused_over_a_setting_keeps_no_other_waiting_for_long(
    box: Spool, time: Time, answer: str
) -> None:
    def script(step: Step) -> Action:
        return answer if step.name == "dot" and step.count in (1, 2, 3) else None

    with ScriptedProvider(script) as provider:
        desk = Desk(box, smarthost(provider))
        waiting = put(box)
        for _ in range(3):
            blocked = desk.run()[1] or time.now + 30
            assert blocked <= time.now + 30.1
            time.now = blocked + 900
        put(box)
        desk.run()
        assert len(provider.messages) >= 1 and waiting not in desk.queue()


def test_a_refused_sender_keeps_nobody_elses_mail_waiting(box: Spool, time: Time) -> None:
    def script(step: Step) -> Action:
        return SENDER if step.name == "mail" and b"<plc@" in step.argument else None

    with ScriptedProvider(script) as provider:
        desk = Desk(box, smarthost(provider))
        waiting = [put(box), put(box)]
        for number in range(3):
            put(box, b"camera%d@example.org" % number)
        due, blocked = desk.run()
        assert (desk.queue(), len(provider.messages), blocked) == (waiting, 3, 0.0)
        assert due == pytest.approx(time.now + 30, abs=0.1)
        put(box, b"camera@example.org")
        desk.run()
        assert (desk.queue(), len(provider.messages)) == (waiting, 4)
        assert troubles(desk) == ["sender-refused"], "others' mail mends nothing"


@pytest.mark.parametrize("answer", [HELO, SENDER])
def test_what_the_first_refuses_over_a_setting_goes_to_the_spare_at_once(box: Spool, answer: str) -> None:
    with ScriptedProvider({"mail": answer}) as first, ScriptedProvider() as spare:
        desk = Desk(box, smarthost(first, "a", "priority '5'") + smarthost(spare, "b", "priority '20'"))
        for _ in range(3):
            put(box)
        desk.run()
        assert (desk.queue(), len(spare.messages), first.count("connect")) == ([], 3, 1)
        assert len(troubles(desk)) == 1


@pytest.mark.parametrize("answer", [SENDER, NOBODY, SPAM, HELO])
@pytest.mark.parametrize("step", ["mail", "rcpt", "dot"])
def test_what_a_spare_refuses_waits_for_the_first_and_arrives_once(
    box: Spool,
    time: Time,
    answer: str,
    step: str,
) -> None:
    with ScriptedProvider({"connect": Drop()}) as first, ScriptedProvider({step: answer}) as spare:
        desk = Desk(box, smarthost(first, "a", "priority '5'") + smarthost(spare, "b", "priority '20'"))
        queue_id = put(box)
        for _ in range(4):
            time.now = max(desk.run())
            assert (desk.queue(), desk.queue(spool.FAIL)) == ([queue_id], [])
        assert spare.count("connect") <= first.count("connect"), "no more often than the first is asked"
        first.script = {}
        desk.run()
        assert (desk.queue(), len(first.messages), spare.messages) == ([], 1, [])


def test_of_several_recipients_the_first_gets_those_alone_that_the_spare_refused(box: Spool, time: Time) -> None:
    with ScriptedProvider({"connect": Drop()}) as first, ScriptedProvider({"rcpt:2": NOBODY}) as spare:
        desk = Desk(box, smarthost(first, "a", "priority '5'") + smarthost(spare, "b", "priority '20'"))
        queue_id = put(box, b"x@x.org", b"a@x.org", b"b@x.org", b"c@x.org")
        time.now = max(desk.run())
        first.script = {"rcpt": NOBODY}
        desk.run()
        assert [mail.recipients for mail in spare.messages] == [[b"a@x.org", b"c@x.org"]]
        assert (first.count("rcpt"), desk.queue(), desk.queue(spool.FAIL)) == (1, [], [queue_id]), "its word is final"


@pytest.mark.parametrize("answer", [HELO, SENDER])
def test_mail_that_waits_for_a_setting_ends_with_its_lifetime(
    box: Spool,
    time: Time,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
) -> None:
    with ScriptedProvider({"rcpt": answer}) as provider:
        desk = Desk(box, smarthost(provider))
        queue_id = put(box)
        time.now = desk.run()[0] + 30
        assert desk.queue() == [queue_id]
        age(box, queue_id, monkeypatch, 6)
        desk.run()
        assert (desk.queue(), desk.queue(spool.FAIL)) == ([], [queue_id])
        with box.open(queue_id, spool.FAIL) as message:
            assert message.answer == f"4.4.7 Given up after 432000 s: {answer}"


def test_a_setting_that_a_4xx_speaks_of_is_told_and_the_mail_waits_as_after_any(box: Spool, time: Time) -> None:
    with ScriptedProvider({"rcpt": "450 4.7.1 <OpenWrt>: Helo command rejected: Host not found"}) as provider:
        desk = Desk(box, smarthost(provider))
        put(box)
        assert desk.run() == (pytest.approx(time.now + 30, abs=0.1), 0.0)
        assert troubles(desk) == ["mail-refused"]


def test_a_connection_alone_mends_no_refused_mail(box: Spool, time: Time) -> None:
    with ScriptedProvider({"mail": [HELO, "451 4.3.0 not now", None]}) as provider:
        desk = Desk(box, smarthost(provider))
        put(box)
        time.now = desk.run()[0] + 30
        time.now = desk.run()[0] + 30
        assert troubles(desk) == ["mail-refused"]
        desk.run()
        assert troubles(desk) == []


@pytest.mark.parametrize("overflow", ["0", "1"])
def test_mail_over_the_rate_waits_unless_it_may_overflow(box: Spool, time: Time, overflow: str) -> None:
    with ScriptedProvider() as first, ScriptedProvider() as spare:
        limited = smarthost(first, "a", "priority '5'", "rate '3/minute'", f"overflow '{overflow}'")
        desk = Desk(box, limited + smarthost(spare, "b", "priority '20'"))
        for _ in range(5):
            put(box)
        due, blocked = desk.run()
        if overflow == "1":
            assert (desk.queue(), len(first.messages), len(spare.messages)) == ([], 3, 2)
            return
        assert (len(desk.queue()), len(first.messages), spare.messages) == (2, 3, [])
        assert due == blocked == pytest.approx(time.now + 60, abs=0.1)
        time.now = due
        desk.run()
        assert (desk.queue(), len(first.messages), spare.messages) == ([], 5, [])


def test_mail_over_a_rate_keeps_nobody_elses_mail_waiting(box: Spool, time: Time) -> None:
    with ScriptedProvider() as shop, ScriptedProvider() as others:
        own = smarthost(shop, "a", "priority '5'", "rate '1/minute'") + "\tlist sender '@shop.example'\n"
        desk = Desk(box, own + smarthost(others, "b", "priority '20'"))
        for _ in range(3):
            put(box, b"plc@shop.example")
        put(box)
        assert desk.run() == (pytest.approx(time.now + 60, abs=0.1), 0.0)
        assert (len(desk.queue()), len(shop.messages), len(others.messages)) == (2, 1, 1)


def test_a_trouble_that_only_one_message_meets_is_told_once_and_mended_when_that_one_is_gone(
    box: Spool, time: Time
) -> None:
    def script(step: Step) -> Action:
        return "554 5.7.1 Relay access denied" if step.name == "rcpt" and b"other" in step.argument else None

    with ScriptedProvider(script) as provider:
        desk = Desk(box, smarthost(provider))
        foreign = put(box, b"plc@example.org", b"someone@other.example")
        for round_ in range(4):
            put(box)
            due, _ = desk.run()
            time.now = max(time.now, due)
            assert troubles(desk) == ["mail-refused"], round_
        with box.open(foreign) as message:
            message.delete()
        put(box)
        desk.run()
        assert troubles(desk) == [] and len(provider.messages) == 5


def test_a_notices_sender_that_is_refused_is_no_trouble_to_tell_of(box: Spool, time: Time) -> None:
    with ScriptedProvider({"mail": SENDER}) as provider:
        desk = Desk(box, smarthost(provider), "postmaster 'boss@example.org'")
        put(box)
        for _ in range(4):
            time.now = max(desk.run())
        assert troubles(desk) == ["sender-refused"]
        assert len(desk.queue()) == 2, "the mail and one notice"
