"""The spool keeps what it was given, says what is damaged, and gives a message to one process at a time."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailrelay.cli import queue_commands
from mailrelay.cli.instance import Stop
from mailrelay.core import clock
from mailrelay.spool import spool
from mailrelay.spool.message import Message
from mailrelay.spool.spool import Envelope, Spool


def put(box: Spool, *recipients: bytes, body: bytes = b"Subject: x\r\n\r\nhello\r\n") -> str:
    return box.submit(Envelope(b"plc@example.org", list(recipients) or [b"a@example.org"], "192.168.1.5"), [body])


text = st.binary(max_size=80)


@given(
    text,
    st.lists(text, min_size=1, max_size=120),
    text,
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["SMTP", "ESMTP", "ESMTPA"]),
    st.binary(),
)
def test_any_envelope_and_body_come_back_as_they_went_in(
    tmp_path_factory: pytest.TempPathFactory,
    sender: bytes,
    recipients: list[bytes],
    helo: bytes,
    smtputf8: bool,
    eightbit: bool,
    notice: bool,
    protocol: str,
    body: bytes,
) -> None:
    box = Spool(str(tmp_path_factory.mktemp("spool")))
    box.prepare()
    put_in = Envelope(sender, recipients, "fe80::1%eth0", helo, smtputf8=smtputf8, eightbit=eightbit, notice=notice)
    put_in.protocol = "ESMTP" if notice else protocol
    with box.open(box.submit(put_in, [body[:3], body[3:]])) as message:
        for name in Envelope.__slots__:
            before, after = getattr(put_in, name), getattr(message.envelope, name)
            assert after == (pytest.approx(before, abs=0.01) if isinstance(before, float) else before), name
        assert b"".join(message.chunks(7)) == body
        assert message.size == len(body)
        assert message.statuses == [spool.PENDING] * len(recipients)


@pytest.mark.parametrize("protocol", ["SMTP", "ESMTP", "ESMTPA"])
def test_versions_that_knew_no_protocol_can_read_the_flags_and_wrote_some_that_can_be_read(protocol: str) -> None:
    envelope = Envelope(b"", [b"plc@x.example"], "", eightbit=True, protocol=protocol)
    found = re.search(rb",3:(...),", envelope.encode())
    flags = found[1] if found else b""
    assert [flag == 49 for flag in flags] == [False, True, False]
    envelope.set_flags(b"001")
    assert (envelope.smtputf8, envelope.eightbit, envelope.notice, envelope.protocol) == (False, False, True, "ESMTP")


def test_ids_sort_by_arrival_and_are_never_alike(box: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([1763800000.0, 1763800000.001, 1763900000.0, 9999999999.0])
    monkeypatch.setattr(clock, "wall", lambda: next(times))
    ids = [box.new_id() for _ in range(4)]
    assert ids == sorted(ids)
    assert [round(spool.arrival(one), 3) for one in ids] == [1763800000.0, 1763800000.001, 1763900000.0, 9999999999.0]
    monkeypatch.setattr(clock, "wall", lambda: 1763800000.5)
    ids = [box.new_id() for _ in range(500)]
    assert ids == sorted(ids), "even within a millisecond"
    assert 1763800000.5 <= spool.arrival(ids[-1]) < 1763800001.5
    monkeypatch.setattr(clock, "wall", lambda: 1763700000.0)
    assert spool.arrival(box.new_id()) == 1763700000.0, "a clock that was set back is followed"
    monkeypatch.undo()
    assert len({box.new_id() for _ in range(10000)}) == 10000
    assert all(spool.is_id(one) for one in ids)


@pytest.mark.parametrize(
    "name", ["", "../../etc/passwd", "0123456789abcde", "0123456789abcdeI", "0123456789abcdef/", "x" * 17]
)
def test_no_name_that_is_not_an_id_reaches_the_disk(box: Spool, name: str) -> None:
    assert not spool.is_id(name)
    with pytest.raises(Stop, match="no such message"):
        queue_commands.show(box, name)
    assert queue_commands.hold(box, [name]) == queue_commands.delete(box, [name], False) == os.EX_NOINPUT


def test_a_message_is_given_to_one_process_at_a_time(box: Spool) -> None:
    queue_id = put(box)
    with box.open(queue_id), pytest.raises(spool.Busy):
        Spool(box.root).open(queue_id)
    box.open(queue_id).close()


def test_a_second_relay_does_not_get_the_spool_until_the_last_child_is_gone(box: Spool) -> None:
    assert box.lock()
    release_r, release_w = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(release_w)
        os.read(release_r, 1)
        os._exit(0)
    other = Spool(box.root)
    assert not other.lock()
    box.unlock()
    assert not other.lock(), "a child of the first one still runs"
    os.close(release_w)
    os.waitpid(pid, 0)
    assert other.lock()
    other.unlock()


def test_statuses_attempts_and_moves_are_there_when_the_file_is_opened_again(box: Spool) -> None:
    queue_id = put(box, b"a@x.org", b"b@x.org", b"c@x.org")
    with box.open(queue_id) as message:
        message.set_statuses([spool.DELIVERED, spool.FAILED, spool.PENDING])
        message.note_attempt(3, clock.boottime() + 60, "450 4.2.0 greylisted\nHeader: injected")
    with box.open(queue_id) as message:
        assert message.pending() == [2]
        assert message.attempts == 3
        assert message.due == pytest.approx(clock.boottime() + 60, abs=5)
        assert message.answer == "450 4.2.0 greylisted Header: injected"
        message.set_statuses([spool.DELIVERED, spool.FAILED, spool.DELIVERED])
        message.finish()
    assert box.ids(spool.QUEUE) == []
    with box.open(queue_id, spool.FAIL) as message:
        assert message.state == spool.FAIL
        message.release()
    with box.open(queue_id) as message:
        assert message.statuses == [spool.DELIVERED, spool.PENDING, spool.DELIVERED], (
            "a delivered one is not sent again"
        )
        assert (message.attempts, message.due) == (0, 0.0)
        message.set_statuses([spool.DELIVERED] * 3)
        message.finish()
    assert [box.ids(state) for state in spool.STATES] == [[], [], []]


def test_after_a_reboot_every_message_is_due(box: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    queue_id = put(box)
    with box.open(queue_id) as message:
        message.note_attempt(9, clock.boottime() + 900, "timeout")
    assert box.peek(queue_id)[2] > clock.boottime()
    monkeypatch.setattr(clock, "boot_id", lambda: "another-boot")
    assert box.peek(queue_id) == ("192.168.1.5", 9, 0.0)
    with box.open(queue_id) as message:
        assert (message.attempts, message.due, message.answer) == (9, 0.0, "timeout")


@pytest.mark.parametrize("keep", [0, 5, 300, 600, 640, -1, -35])
def test_a_cut_off_file_is_called_damaged_and_nothing_else(box: Spool, keep: int) -> None:
    queue_id = put(box)
    path = Path(box.path(spool.QUEUE, queue_id))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(spool.Damaged):
        box.open(queue_id)


@given(st.integers(0, 900), st.integers(0, 255))
def test_no_flipped_byte_makes_a_traceback(tmp_path_factory: pytest.TempPathFactory, at: int, value: int) -> None:
    box = Spool(str(tmp_path_factory.mktemp("spool")))
    box.prepare()
    queue_id = put(box)
    path = Path(box.path(spool.QUEUE, queue_id))
    data = bytearray(path.read_bytes())
    data[at % len(data)] = value
    path.write_bytes(data)
    for opener in (box.open, box.peek):
        try:
            found = opener(queue_id)
        except spool.Damaged:
            continue
        if isinstance(found, Message):
            found.close()


def test_only_the_owner_can_read_the_spool(box: Spool) -> None:
    queue_id = put(box)
    assert stat.S_IMODE(os.stat(box.path(spool.QUEUE, queue_id)).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(f"{box.root}/queue").st_mode) == 0o700


def test_usage_counts_what_can_still_be_delivered(box: Spool) -> None:
    assert box.usage() == 0
    first, second, _ = put(box), put(box), put(box)
    whole = box.usage()
    with box.open(first) as message:
        message.move(spool.HOLD)
    assert box.usage() == whole > 3 * 512
    with box.open(second) as message:
        message.move(spool.FAIL)
    assert box.usage() == whole // 3 * 2


def test_failed_mail_that_somebody_holds_is_not_deleted(box: Spool) -> None:
    queue_id = put(box)
    with box.open(queue_id) as message:
        message.move(spool.FAIL)
        assert not box.delete_failed(queue_id) and box.ids(spool.FAIL) == [queue_id]
        message.release()
        with pytest.raises(FileNotFoundError):
            box.delete_failed(queue_id)
    assert box.ids(spool.QUEUE) == [queue_id]
    with box.open(queue_id) as message:
        message.move(spool.FAIL)
    assert box.delete_failed(queue_id) and box.ids(spool.FAIL) == []


class TestAge:
    """Seconds since a message came in, by whichever clock can be believed."""

    @pytest.fixture
    def times(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
        now: dict[str, object] = {"wall": 1763800000.0, "boottime": 100.0, "boot_id": "one", "trusted": False}
        for name in now:
            monkeypatch.setattr(clock, name, lambda name=name: now[name])
        return now

    def test_in_the_same_boot_no_clock_change_counts(self, times: dict[str, object]) -> None:
        envelope = Envelope(b"", [b"a@x.org"], "::1")
        times.update(wall=1795336000.0, boottime=160.0)  # NTP moved the date by a year
        assert envelope.age() == 60
        assert envelope.date() == 1795336000.0 - 60

    def test_after_a_reboot_without_a_trusted_clock_it_is_only_as_old_as_the_boot(
        self, times: dict[str, object]
    ) -> None:
        envelope = Envelope(b"", [b"a@x.org"], "::1")
        times.update(wall=1795336000.0, boottime=20.0, boot_id="two", trusted=True)
        assert envelope.age() == 20, "it came in before the clock was set: its stamp says nothing"
        assert envelope.date() == 1763800000.0

    def test_after_a_reboot_with_clocks_that_were_right_wall_time_counts(self, times: dict[str, object]) -> None:
        times["trusted"] = True
        envelope = Envelope(b"", [b"a@x.org"], "::1")
        times.update(wall=1763800000.0 + 500000, boottime=20.0, boot_id="two")
        assert envelope.age() == 500000
        assert envelope.date() == 1763800000.0

    def test_a_stamp_from_the_future_or_from_1970_is_no_date(self, times: dict[str, object]) -> None:
        envelope = Envelope(b"", [b"a@x.org"], "::1")
        times.update(wall=1763700000.0, boot_id="two")
        assert envelope.date() == 1763700000.0
        envelope.received = 0.0
        assert envelope.date() == 1763700000.0
