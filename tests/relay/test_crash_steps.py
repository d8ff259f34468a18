"""Killed at every single step: what was promised is whole, what was not is gone or whole, as in docs/dev/INTERNALS.md.

A child carries out one change of state and kills itself at its nth system call, before or after it; the parent then
does what the next start does, and looks.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mailrelay.spool import group_commit, spool
from mailrelay.spool.spool import DELIVERED, FAIL, FAILED, HOLD, PENDING, QUEUE, Envelope, Spool
from tests.support.waiting import wait

BODY = b"Subject: Alarm\r\n\r\npump 3\r\n"
CALLS = ("open", "write", "fsync", "fdatasync", "rename", "unlink", "pwrite", "close")


def killing(at: int, after: bool) -> None:
    """From now on, this process dies at its `at`th call of one of CALLS that touches the spool."""
    count = 0

    def wrap(real: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **kwargs: object) -> object:
            nonlocal count
            count += 1
            if count == at and not after:
                os.kill(os.getpid(), signal.SIGKILL)
                time.sleep(60)
            result = real(*args, **kwargs)
            if count == at and after:
                os.kill(os.getpid(), signal.SIGKILL)
                time.sleep(60)
            return result

        return call

    for name in CALLS:
        setattr(os, name, wrap(getattr(os, name)))


def run(box: Spool, action: Callable[[Spool], None], at: int, after: bool) -> tuple[bool, bool]:
    """(it was killed, it had said that it was done)."""
    said_r, said_w = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            tell = os.write
            killing(at, after)
            action(box)
            tell(said_w, b"done")
        finally:
            os._exit(0)
    os.close(said_w)
    said = os.read(said_r, 16)
    os.close(said_r)
    killed = os.WIFSIGNALED(os.waitpid(pid, 0)[1])
    return killed, said == b"done"


def every_step(fresh: Callable[[], Spool], action: Callable[[Spool], None]) -> list[tuple[Spool, bool]]:
    """The spool as the next start finds it, for a kill at every step, and whether the action had been acknowledged."""
    results = []
    for after in (False, True):
        for at in range(1, 200):
            box = fresh()
            killed, said = run(box, action, at, after)
            box.prepare()
            results.append((box, said))
            if not killed:
                assert said
                break
        else:
            raise AssertionError("it never came to an end")
    assert len(results) > 6, "nothing was killed"
    return results


@pytest.fixture
def fresh(tmp_path: Path) -> Callable[[], Spool]:
    numbers = iter(range(10**6))

    def make() -> Spool:
        box = Spool(str(tmp_path / str(next(numbers))))
        os.mkdir(box.root)
        box.prepare()
        return box

    return make


def filled(
    fresh: Callable[[], Spool], state: str = QUEUE, statuses: tuple[bytes, ...] = (PENDING,)
) -> Callable[[], Spool]:
    def make() -> Spool:
        box = fresh()
        recipients = [b"%d@x.org" % i for i in range(len(statuses))]
        queue_id = box.submit(Envelope(b"plc@x.org", recipients, "192.168.1.5"), [BODY])
        with box.open(queue_id) as message:
            message.set_statuses(list(statuses))
            if state != QUEUE:
                message.move(state)
        return box

    return make


def whole(box: Spool) -> dict[str, list[bytes]]:
    """Every message in the spool, each read to its end: state → statuses."""
    found: dict[str, list[bytes]] = {}
    assert os.listdir(f"{box.root}/tmp") == []
    for state in spool.STATES:
        for queue_id in box.ids(state):
            with box.open(queue_id, state) as message:
                assert b"".join(message.chunks()) == BODY
                assert state not in found, "twice"
                found[state] = message.statuses
    assert len(found) <= 1, "in two states at once"
    return found


def test_taking_a_message(fresh: Callable[[], Spool]) -> None:
    def take(box: Spool) -> None:
        committer = group_commit.Committer(box, threads=1)
        draft = spool.Draft(box, Envelope(b"plc@x.org", [b"a@x.org"], "192.168.1.5"))
        committer.write(draft, [BODY[:5]], None)
        committer.seal(draft, [BODY[5:]], None)
        verdicts: list[tuple[object, OSError | None]] = []
        wait(lambda: verdicts.extend(committer.collect()) or len(verdicts) == 2, "write and seal are judged")
        assert [error for _, error in verdicts] == [None, None]

    outcomes = set()
    for box, acknowledged in every_step(fresh, take):
        found = whole(box)
        assert found or not acknowledged
        outcomes.add((bool(found), acknowledged))
    assert outcomes == {(False, False), (True, False), (True, True)}


def test_delivering_to_everybody(fresh: Callable[[], Spool]) -> None:
    def deliver(box: Spool) -> None:
        with box.open(box.ids(QUEUE)[0]) as message:
            message.delete()
        box.sync(QUEUE)

    for box, done in every_step(filled(fresh), deliver):
        found = whole(box)
        assert found in ({}, {QUEUE: [PENDING]})
        assert not (found and done)


def test_recording_recipients_one_by_one(fresh: Callable[[], Spool]) -> None:
    def record(box: Spool) -> None:
        with box.open(box.ids(QUEUE)[0]) as message:
            message.set_statuses([DELIVERED, FAILED, PENDING])
            message.note_attempt(1, 5.0, "450 later")

    for box, done in every_step(filled(fresh, statuses=(PENDING,) * 3), record):
        [statuses] = whole(box).values()
        assert statuses in ([PENDING] * 3, [DELIVERED, FAILED, PENDING])
        assert statuses[0] == DELIVERED or not done


@pytest.mark.parametrize("state, method", [(QUEUE, HOLD), (QUEUE, FAIL), (HOLD, QUEUE)])
def test_moving(fresh: Callable[[], Spool], state: str, method: str) -> None:
    def move(box: Spool) -> None:
        with box.open(box.ids(state)[0], state) as message:
            message.move(method)
        box.sync(method)

    for box, done in every_step(filled(fresh, state=state), move):
        assert list(whole(box)) == [method] or (list(whole(box)) == [state] and not done)


def test_releasing_failed_mail(fresh: Callable[[], Spool]) -> None:
    def release(box: Spool) -> None:
        with box.open(box.ids(FAIL)[0], FAIL) as message:
            message.release()

    for box, done in every_step(filled(fresh, state=FAIL, statuses=(DELIVERED, FAILED)), release):
        [(state, statuses)] = whole(box).items()
        assert statuses[0] == DELIVERED
        assert (state, statuses[1]) in [(FAIL, FAILED), (FAIL, PENDING), (QUEUE, PENDING)]
        assert state == QUEUE or not done


@pytest.mark.parametrize("call, error", [("fsync", 5), ("write", 28), ("rename", 5)])
def test_a_disk_that_fails_gets_no_message_acknowledged_and_none_left_behind(
    fresh: Callable[[], Spool], monkeypatch: pytest.MonkeyPatch, call: str, error: int
) -> None:
    box = fresh()
    committer = group_commit.Committer(box, threads=2)

    def fail(*_: object) -> None:
        raise OSError(error, os.strerror(error))

    real_write = os.write
    if call == "write":
        monkeypatch.setattr(spool, "write_all", fail)
    else:
        monkeypatch.setattr(os, call, fail)
    assert real_write
    drafts = [spool.Draft(box, Envelope(b"", [b"a@x.org"], "::1")) for _ in range(5)]
    for draft in drafts:
        committer.seal(draft, [BODY], draft)
    verdicts: list[tuple[object, OSError | None]] = []
    wait(lambda: verdicts.extend(committer.collect()) or len(verdicts) == 5, "all are judged")
    monkeypatch.undo()
    assert {token for token, _ in verdicts} == set(drafts)
    assert all(found is not None and found.errno == error for _, found in verdicts)
    box.prepare()
    assert whole(box) == {}
