"""What the owner hears and when: by the program `notify` and by mail to the postmaster. The clock is set by hand."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mailrelay.config import schema
from mailrelay.config.machine import ThisMachine
from mailrelay.config.settings import Settings
from mailrelay.core import clock, ipc
from mailrelay.courier import notify
from mailrelay.courier.explain import Advice
from mailrelay.courier.notify import Notices
from mailrelay.spool import spool
from mailrelay.spool.message import Message
from mailrelay.spool.spool import Envelope, Spool
from tests.support.relay import smarthost

DAY, HOUR = 86400, 3600
NOW = 100 * DAY


class Desk:
    """One courier's notices after the other's on the same spool, and what they tell whom."""

    def __init__(self, box: Spool, monkeypatch: pytest.MonkeyPatch, *options: str) -> None:
        self.box = box
        self.state: dict[str, list[str]] = {}
        self.heard: list[tuple[str, dict[str, str]]] = []
        self.now = float(NOW)
        self.trusted = True
        self.configure(*options)
        monkeypatch.setattr(clock, "boottime", lambda: self.now)
        monkeypatch.setattr(clock, "trusted", lambda: self.trusted)
        monkeypatch.setattr(notify, "_run", self.hear)

    def configure(self, *options: str, sections: str = "") -> None:
        main = "".join(
            f"\toption {option}\n" for option in ("postmaster 'boss@example.org'", "notify '/bin/true'", *options)
        )
        text = f"config mailrelay 'main'\n{main}" + (sections or smarthost(2526, "a"))
        found, faults, _ = schema.check(text.encode(), "config", ThisMachine())
        assert found is not None, list(map(str, faults))
        self.settings: Settings = found

    def hear(self, program: str, event: str, **facts: str) -> None:
        if program == "/bin/true":
            self.heard.append((event, facts))

    def report(self, kind: str, name: str, *words: str) -> None:
        if kind == "remember":
            self.state[name] = list(words)
        else:
            self.state.pop(name, None)

    def known(self) -> set[str]:
        """Return the troubles that there are."""
        return set(ipc.keep_state(self.state, ipc.TROUBLE))

    def courier(self, *does: Callable[[Notices], object], way_open: bool = True) -> list[str]:
        """Let a courier live its life in which these things happen. Return the events that were told."""
        told = len(self.heard)
        notices = Notices(self.settings, self.box, dict(self.state), self.report)
        for do in does:
            do(notices)
        notices.settle()
        notices.stuck()
        notices.send(way_open=way_open)
        return [event for event, _ in self.heard[told:]]

    def trouble(self, cause: str = "login-refused", sender: bytes | None = None) -> Callable[[Notices], None]:
        host = self.settings.smarthosts[0]
        return lambda notices: notices.trouble(host, "login", cause, "535 no", Advice("Check the password"), sender)

    def mended(self, sender: bytes | None = None) -> Callable[[Notices], None]:
        return lambda notices: notices.mended(self.settings.smarthosts[0], sender=sender)

    def mails(self) -> list[str]:
        """The notices in the queue, as text without dots and line ends."""
        found = []
        for queue_id in self.box.ids(spool.QUEUE):
            with self.box.open(queue_id) as message:
                if message.envelope.notice:
                    assert message.envelope.recipients == [b"boss@example.org"]
                    found.append(b"".join(message.chunks()).decode().replace("\r\n", "\n"))
        return found

    def sent(self) -> None:
        """All notices go out."""
        for queue_id in self.box.ids(spool.QUEUE):
            with self.box.open(queue_id) as message:
                if message.envelope.notice:
                    message.delete()


@pytest.fixture
def desk(box: Spool, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(box, monkeypatch)


def put(box: Spool) -> str:
    return box.submit(Envelope(b"plc@example.org", [b"a@example.org"], "192.168.1.5"), [b"Subject: x\r\n\r\nx\r\n"])


def failed(box: Spool, sender: bytes = b"plc@example.org", notice: bool = False) -> Callable[[Notices], None]:
    envelope = Envelope(sender, [b"a@example.org"], "192.168.1.5", notice=notice)
    queue_id = box.submit(envelope, [b"Subject: lost one\r\n\r\nx\r\n"])

    def fail(notices: Notices) -> None:
        with box.open(queue_id) as message:
            notices.failed(message, b"a@example.org", "550 5.1.1 no such user", "Check the address")
            message.move(spool.FAIL)

    return fail


# ---- a setting to be mended -----------------------------------------------------------------------------------------


def test_a_setting_is_told_once_then_daily_and_once_more_when_it_is_mended(desk: Desk) -> None:
    assert desk.courier(desk.trouble(), way_open=False) == ["login-refused"]
    for after in (60, HOUR, DAY - 1):
        desk.now = NOW + after
        assert desk.courier(desk.trouble()) == []
    desk.now = NOW + DAY
    assert desk.courier(desk.trouble(), way_open=False) == ["login-refused"]
    desk.now = NOW + DAY + 600
    assert desk.courier(desk.mended()) == ["mended"]
    assert desk.courier(desk.mended()) == []
    facts = desk.heard[-1][1]
    assert (facts["CAUSE"], facts["AGE"]) == ("login-refused", str(DAY + 600))
    assert desk.known() == set()


def test_while_no_way_is_open_no_notice_piles_up_and_the_one_at_the_end_tells_from_when_to_when(desk: Desk) -> None:
    put(desk.box)
    for day in range(4):
        desk.now = NOW + day * DAY
        assert "login-refused" in desk.courier(desk.trouble(), way_open=False)
        assert desk.mails() == []
    desk.courier(desk.mended())
    (mail,) = desk.mails()
    assert "\nSubject: Mended: 127.0.0.1 can be used again\n" in mail
    assert "    535 no\n" in mail and "From " in mail and " to " in mail and "In the queue: 1 mail." in mail


def test_where_another_way_is_open_the_postmaster_hears_at_once(desk: Desk) -> None:
    put(desk.box)
    desk.courier(desk.trouble("sender-refused", b"cam@example.org"))
    (mail,) = desk.mails()
    for part in (
        "mail from cam@example.org waits",
        "535 no",
        "What to do: Check the password",
        "In the queue: 1 mail.",
    ):
        assert part in mail
    desk.now += DAY
    assert "sender-refused" in desk.courier(desk.trouble("sender-refused", b"cam@example.org"))
    assert len(desk.mails()) == 1, "as long as one waits there is no second one for the same trouble"
    desk.sent()
    desk.now += DAY
    desk.courier(desk.trouble("sender-refused", b"cam@example.org"))
    assert len(desk.mails()) == 1


def test_a_senders_trouble_ends_with_that_senders_mail_or_when_it_sends_no_more(desk: Desk) -> None:
    desk.courier(desk.trouble("sender-refused", b"cam@example.org"))
    assert desk.courier(desk.mended(), desk.mended(b"plc@example.org")) == []
    assert desk.courier(desk.mended(b"cam@example.org")) == ["mended"]
    desk.courier(desk.trouble("sender-refused", b""))
    assert desk.courier(desk.mended()) == [], "the null sender is a sender"
    desk.sent()
    desk.now += DAY
    assert desk.courier() == [], "nobody mended it"
    assert desk.known() == set()


def test_a_smarthost_that_is_no_more_is_no_trouble(desk: Desk) -> None:
    desk.courier(desk.trouble())
    desk.configure(sections=smarthost(2526, "b"))
    assert desk.courier() == []
    assert desk.known() == set()


@pytest.mark.parametrize("cause", ["cert-expired", "cert-not-yet-valid"])
def test_what_a_clock_may_be_to_blame_for_is_told_once_the_clock_is_trusted_or_it_has_lasted(
    desk: Desk, cause: str
) -> None:
    desk.trusted = False
    assert desk.courier(desk.trouble(cause)) == []
    assert desk.state, "the status shows it"
    desk.now += HOUR - 1
    assert desk.courier(desk.trouble(cause)) == []
    assert desk.courier(desk.mended()) == [], "the clock was set, and nobody heard of it"
    assert (desk.mails(), desk.known()) == ([], set())
    desk.courier(desk.trouble(cause))
    desk.now += HOUR
    assert desk.courier(desk.trouble(cause)) == [cause], "notify_after has passed"
    desk.courier(desk.mended())
    desk.now += HOUR
    desk.courier(desk.trouble(cause))
    desk.trusted = True
    assert desk.courier(desk.trouble(cause)) == [cause]


_open = os.open


def read_only(path: str, flags: int, *mode: int) -> int:
    """open(2) on a disk that can only be read."""
    if flags & (os.O_WRONLY | os.O_RDWR):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))
    return _open(path, flags, *mode)


# ---- the spool ------------------------------------------------------------------------------------------------------


def test_damaged_mail_is_told_with_its_id_until_it_is_gone(desk: Desk) -> None:
    path = desk.box.path(spool.FAIL, "0000000000000000")
    Path(path).write_bytes(b"rubbish")
    for _ in range(2):
        desk.courier(lambda notices: notices.damaged("0000000000000000", "its end is missing"))
    assert desk.heard == [("damaged", {"ID": "0000000000000000", "ANSWER": "its end is missing"})]
    (mail,) = desk.mails()
    assert "The mail 0000000000000000 is damaged: its end is missing." in mail
    assert desk.known() == {"trouble damaged 0000000000000000"}
    os.unlink(path)
    assert desk.courier() == []
    assert desk.known() == set()


def test_a_disk_that_refuses_is_told_and_is_mended_once_it_can_be_written(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(desk.box)
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", read_only)
        assert desk.courier(lambda notices: notices.disk("Read-only file system")) == ["disk"]
        assert desk.heard[-1][1]["ANSWER"] == "Read-only file system"
        desk.now += HOUR
        assert desk.courier() == ["stuck"], "found without a lock, which it would have to be written for"
        desk.now += DAY
        assert desk.courier() == ["disk", "stuck"], "it is still there"
    assert desk.courier() == [], "it has not been asked for long enough"
    desk.now += HOUR
    assert desk.courier() == ["mended"]
    (mail,) = desk.mails()
    assert "Mended: disk is over" in mail and "Read-only file system" in mail
    assert desk.known() == {"trouble stuck"}


def test_stuck_mail_is_found_behind_what_is_locked_or_damaged(desk: Desk) -> None:
    Path(desk.box.path(spool.QUEUE, "0000000000000000")).write_bytes(b"rubbish")
    locked, _ = put(desk.box), put(desk.box)
    desk.now += HOUR
    with desk.box.open(locked):
        assert desk.courier() == ["stuck"]
    assert desk.heard[-1][1]["ID"] == locked, "somebody delivers it, and does so for an hour"
    assert desk.heard[-1][1]["COUNT"] == "3"
    assert len(desk.box.ids(spool.QUEUE)) == 3, "a mail to the postmaster would wait behind what is stuck"


def test_stuck_mail_that_went_out_is_told_and_what_was_given_up_is_told_as_that(desk: Desk) -> None:
    queue_id = put(desk.box)
    desk.now += HOUR
    assert desk.courier() == ["stuck"]
    os.unlink(desk.box.path(spool.QUEUE, queue_id))
    assert desk.courier() == ["mended"]
    fail = failed(desk.box)
    desk.now += HOUR
    assert desk.courier() == ["stuck"]
    assert desk.courier(fail) == ["failed"]


# ---- the rest -------------------------------------------------------------------------------------------------------


def test_failed_mail_is_told_to_the_program_as_to_the_postmaster_and_a_notice_never_is(desk: Desk) -> None:
    assert desk.courier(failed(desk.box), failed(desk.box), failed(desk.box, notice=True)) == ["failed"]
    assert desk.heard[-1][1]["COUNT"] == "2"
    (mail,) = desk.mails()
    assert "Subject: 2 mails could not be delivered" in mail
    assert "550 5.1.1 no such user" in mail and "Check the address" in mail and "Subject: lost one" in mail


def test_while_no_way_is_open_one_notice_tells_of_all_mail_that_failed(desk: Desk) -> None:
    for _ in range(3):
        desk.courier(failed(desk.box), failed(desk.box), way_open=False)
    (mail,) = desk.mails()
    assert "\nSubject: 6 mails could not be delivered\n" in mail and "... and 4 more." in mail
    desk.courier(failed(desk.box))
    assert len(desk.mails()) == 2, "the first one may be on its way"
    desk.sent()
    desk.courier(failed(desk.box), lambda notices: notices.refused("192.168.1.9", "550 no", 1), way_open=False)
    desk.courier(failed(desk.box), way_open=False)
    assert ["1 mail could" in mail for mail in desk.mails()] == [True, True], "one of them tells of something else, too"


def test_mail_that_fails_again_and_again_is_told_of_a_few_times_an_hour_and_then_in_one(desk: Desk) -> None:
    for _ in range(12):
        assert desk.courier(failed(desk.box)) == ["failed"], "the program hears of each"
        desk.now += 60
    assert ["\nSubject: 1 mail could not be delivered\n" in mail for mail in desk.mails()] == [True] * 5
    assert Notices(desk.settings, desk.box, desk.state, desk.report).held_until() == pytest.approx(desk.now + 2880)
    desk.sent()
    desk.now += HOUR
    for _ in range(2):
        assert desk.courier() == []
        (mail,) = desk.mails()
        assert "\nSubject: 7 mails could not be delivered\n" in mail


def test_a_machine_that_is_refused_is_told_with_what_it_was_told(desk: Desk) -> None:
    assert desk.courier(lambda notices: notices.refused("192.168.1.9", "550 5.7.1 not you", 3)) == ["refused"]
    (mail,) = desk.mails()
    assert "The machine 192.168.1.9 was refused 3 times" in mail and "550 5.7.1 not you" in mail


def test_mail_that_was_not_taken_because_of_the_disk_tells_of_the_disk(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(notices: Notices) -> None:
        notices.refused("192.168.1.9", "451 4.3.0 This mail could not be stored", 3, "")

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", read_only)
        assert desk.courier(refused) == ["disk"]
    assert desk.courier(refused) == ["refused"], "it takes mail again"


def test_one_mail_tells_of_everything_in_a_couriers_life(desk: Desk) -> None:
    desk.courier(
        desk.trouble("sender-refused", b"cam@example.org"),
        failed(desk.box),
        lambda notices: notices.refused("192.168.1.9", "550 5.7.1 not you", 1),
    )
    (mail,) = desk.mails()
    assert "\nSubject: 1 mail could not be delivered (and 2 more)\n" in mail
    assert "Mail from cam@example.org waits" in mail and "Mail from 192.168.1.9 was not taken" in mail


def test_the_oldest_mail_is_measured_by_the_clock_that_nobody_sets(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    queue_id = put(desk.box)
    monkeypatch.setattr(clock, "wall", lambda: 0.0)
    desk.now += 100
    notices = Notices(desk.settings, desk.box, {}, desk.report)
    assert notices.oldest() == (queue_id, pytest.approx(100, abs=0.01), "")
    with Message(desk.box, spool.QUEUE, queue_id) as message:
        assert message.envelope.age() == pytest.approx(100, abs=0.01), "as the queue does"
