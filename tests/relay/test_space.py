"""The room that a message may have: failed mail takes none from mail that can still be delivered."""

from __future__ import annotations

import os

import pytest

from mailrelay.spool import spool
from mailrelay.spool.space import Capacity
from mailrelay.spool.spool import Spool

K = 1024
CLIENT = "192.168.1.9"


def put(box: Spool, size: int, state: str = spool.QUEUE) -> str:
    """A message of that size in that state; its id."""
    queue_id = box.submit(spool.Envelope(b"", [b"a@x.org"], CLIENT), [b"x" * size])
    if state != spool.QUEUE:
        with box.open(queue_id) as message:
            message.move(state)
    return queue_id


def capacity(box: Spool, limit: int, reserve: int = 0) -> Capacity:
    found = Capacity(box, limit, reserve, wanted=25 * K * K)
    found.start()
    return found


def test_failed_mail_takes_no_room_from_what_is_to_be_delivered(box: Spool) -> None:
    for _ in range(3):
        put(box, 30 * K, spool.FAIL)
    held = put(box, 30 * K, spool.HOLD)
    assert 65 * K < capacity(box, 100 * K).room <= 70 * K
    assert box.ids(spool.HOLD) == [held]


def test_mail_that_fails_is_noticed_before_anything_is_refused(box: Spool) -> None:
    found = capacity(box, 100 * K)
    ids = []
    for _ in range(3):
        ids.append(put(box, 30 * K))
        found.take(30 * K)
        found.settle(30 * K, stored=True)
    assert found.room < 10 * K
    for queue_id in ids:
        with box.open(queue_id) as message:
            message.move(spool.FAIL)
        found.look_at_failed()
    assert found.room > 90 * K
    with box.open(ids[0], spool.FAIL) as message:
        message.release()
    found.look_at_failed()
    assert 60 * K < found.room < 75 * K, "released mail takes room again"


def test_the_oldest_goes_and_no_more_than_is_wanted(box: Spool, capsys: pytest.CaptureFixture[str]) -> None:
    failed = [put(box, 30 * K, spool.FAIL) for _ in range(3)]
    found = capacity(box, 100 * K)
    found.take(2 * K)
    found.make_room(2 * K)
    assert box.ids(spool.FAIL) == failed, "what still fits stays"
    found.take(18 * K)
    found.make_room(18 * K)
    assert box.ids(spool.FAIL) == failed[1:]


def test_a_full_disk_is_as_good_a_reason_as_a_full_queue(box: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = [put(box, 30 * K, spool.FAIL) for _ in range(3)]
    disk = 100 * K + sum(os.stat(box.path(spool.FAIL, name)).st_size for name in failed)

    def free(self: Spool) -> int:
        return disk - sum(os.stat(box.path(spool.FAIL, name)).st_size for name in self.ids(spool.FAIL))

    monkeypatch.setattr(Spool, "free", free)
    found = capacity(box, 1000 * K, reserve=90 * K)
    assert found.room > 90 * K
    found.take(20 * K)
    found.make_room(20 * K)
    assert box.ids(spool.FAIL) == failed[1:]


def test_what_is_locked_stays_and_takes_room_until_it_is_let_go(box: Spool) -> None:
    failed = [put(box, 30 * K, spool.FAIL) for _ in range(2)]
    found = capacity(box, 65 * K)
    with box.open(failed[0], spool.FAIL):
        found.take(20 * K)
        found.make_room(20 * K)
        assert box.ids(spool.FAIL) == [failed[0]]
        found.tick(0.0)
        assert found.room < 20 * K
    found.look_at_failed()
    assert found.room > 40 * K


def test_a_disk_that_will_not_delete_refuses_no_mail_that_fits(box: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    put(box, 30 * K, spool.FAIL)
    found = capacity(box, 40 * K)

    def broken(*_: object) -> bool:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Spool, "delete_failed", broken)
    found.take(20 * K)
    found.make_room(20 * K)
    found.tick(0.0)
    assert found.room == 0
