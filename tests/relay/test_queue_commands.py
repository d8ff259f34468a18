"""What an owner does to mail by commands: what they print, what they leave in the spool, how they fail."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailrelay.core import clock
from mailrelay.spool.spool import DELIVERED, FAIL, FAILED, HOLD, PENDING, QUEUE, Envelope, Spool
from tests.relay.calling import EXAMPLE, STRANGER, call, places, python_for_all
from tests.support.relay import SOURCE, Relay, relay_command, smarthost
from tests.support.scripted_provider import ScriptedProvider
from tests.support.waiting import wait

NOBODY = 65534


@pytest.fixture
def lying() -> Iterator[Spool]:
    """A spool that no relay uses, in a folder that every user can reach."""
    folder = Path(tempfile.mkdtemp(prefix="mailrelay-test-"))
    folder.chmod(0o755)
    where = Spool(str(folder / "spool"))
    os.mkdir(where.root, 0o700)
    where.prepare()
    yield where
    shutil.rmtree(folder)


def give_away(where: Spool) -> None:
    """Make the spool nobody's."""
    for folder, _, files in os.walk(where.root):
        for path in (folder, *(f"{folder}/{name}" for name in files)):
            os.chown(path, NOBODY, NOBODY)


def put(
    where: Spool, *recipients: bytes, text: bytes = b"Subject: x\r\n\r\nhello\r\n", sender: bytes = b"a@b.example"
) -> str:
    envelope = Envelope(sender, list(recipients or (b"owner@example.org",)), "192.168.1.5", b"plc")
    return where.submit(envelope, [text])


def move(where: Spool, queue_id: str, state: str, statuses: list[bytes] | None = None) -> None:
    with where.open(queue_id) as message:
        if statuses:
            message.set_statuses(statuses)
        message.move(state)


def options(where: Spool) -> list[str]:
    return ["--spool", where.root, "--run-dir", where.root + "-no-run-dir"]


def listed(where: Spool) -> list[dict[str, object]]:
    found = json.loads(call("queue", "--json", *options(where)).text)
    messages: list[dict[str, object]] = found["messages"]
    return messages


# queue


def test_an_empty_queue_is_said_to_be_empty(lying: Spool) -> None:
    assert "The queue is empty." in call("queue", *options(lying)).text
    assert listed(lying) == []


def test_queue_shows_all_that_is_known_of_a_message(lying: Spool) -> None:
    queue_id = put(lying, b"one@example.org", b"two@example.org", b"three@example.org")
    with lying.open(queue_id) as message:
        message.set_statuses([DELIVERED, FAILED, PENDING])
        message.note_attempt(3, clock.boottime() + 200.0, "451 4.3.0 later")
    text = call("queue", *options(lying)).text
    for part in (queue_id, "queued", "a@b.example", "one@example.org (delivered)", "two@example.org (failed)"):
        assert part in text
    assert re.search(r"> three@example.org\n", text)
    assert "3m" in text
    assert "451 4.3.0 later" in text
    (found,) = listed(lying)
    assert found["id"] == queue_id
    assert found["state"] == "queue"
    assert found["attempts"] == 3
    assert found["last_answer"] == "451 4.3.0 later"
    assert found["client"] == "192.168.1.5"
    assert found["size"] == len(b"Subject: x\r\n\r\nhello\r\n")
    assert isinstance(found["next_try"], float)
    assert 0 < found["next_try"] - clock.wall() < 201
    assert found["recipients"] == [
        {"address": "one@example.org", "state": "delivered"},
        {"address": "two@example.org", "state": "failed"},
        {"address": "three@example.org", "state": "pending"},
    ]


def test_held_and_failed_mail_is_listed_too(lying: Spool) -> None:
    held, failed = put(lying), put(lying)
    move(lying, held, HOLD)
    move(lying, failed, FAIL, [FAILED])
    assert {one["id"]: one["state"] for one in listed(lying)} == {held: "hold", failed: "failed"}
    assert call("queue", *options(lying)).text.splitlines()[-2].endswith("1 held, 1 failed.")


def test_one_state_alone_can_be_listed_and_counted(lying: Spool) -> None:
    """What failed stands behind all that waits, so it would be beyond any limit."""
    waiting, failed = [put(lying) for _ in range(3)], put(lying)
    move(lying, failed, FAIL, [FAILED])
    found = json.loads(call("queue", "--json", "--limit", "2", "--state", "failed", *options(lying)).text)
    assert ([one["id"] for one in found["messages"]], found["total"]) == ([failed], 1)
    found = json.loads(call("queue", "--json", "--limit", "2", "--state=queue", *options(lying)).text)
    assert ([one["id"] for one in found["messages"]], found["total"]) == (waiting[:2], 3)
    text = call("queue", "--state", "failed", *options(lying)).text
    assert failed in text and waiting[0] not in text and "1 message, " in text
    assert "There is none." in call("queue", "--state", "hold", *options(lying)).text
    refused = call("queue", "--state", "sent", *options(lying))
    assert refused.code == 64 and "--state wants one of queue, hold, failed" in refused.errors


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        (b"Subject: Pump 3 stopped\r\n\r\nTank level\r\n", "Pump 3 stopped"),
        (b"From: a@b\r\nsubject : folded\r\n\tand on\r\n\r\nx", "folded and on"),
        ("Subject: Störung\r\n\r\n".encode(), "Störung"),
        (b"Subject: St\xf6rung\r\n\r\n", "Störung"),
        (b"Subject: =?utf-8?B?U3TDtg==?=\r\n =?UTF-8?q?rung=3A_1?= here\r\n\r\n", "Störung: 1 here"),
        (b"Subject: =?utf-8?b?U3TD?= =?utf-8?b?tg==?=\r\n\r\n", "Stö"),
        (b"Subject: =?iso-8859-1?Q?St=F6?= =?x-none?q?r?= =?utf-8?b?!?=\n\n", "Stör"),
        (b"Subject: =?hex?q?6g?= =?utf-8?q?=?\n\nx", "6g=?utf-8?q?=?"),
        (b"Subject: a\x00\x1b[31m\x07b \xe2\x80\xae\xc2\x9bc\r\n\r\n", "a [31m b c"),
        (b"Subject:\r\n\r\nSubject: not this\r\n", ""),
        (b"no header at all\r\n", ""),
        (b"X-Long: " + b"y" * 9000 + b"\r\nSubject: beyond what is looked at\r\n\r\n", ""),
        (b"Subject: " + b"z" * 9000, "z" * 80),
        (b".Subject: stuffed\rSubject: and by lone CR\r\r", "stuffed"),
        (b"", ""),
    ],
)
def test_the_subject_is_listed_as_a_person_reads_it(lying: Spool, text: bytes, subject: str) -> None:
    put(lying, text=text)
    assert listed(lying)[0]["subject"] == subject


def test_a_damaged_file_is_shown_as_damaged(lying: Spool) -> None:
    good, cut = put(lying), put(lying)
    os.truncate(lying.path(QUEUE, cut), 700)
    Path(lying.path(FAIL, EXAMPLE)).write_bytes(b"\0nonsense")
    text = call("queue", *options(lying)).text
    assert re.search(rf"{cut}  damaged .* end is missing", text)
    assert re.search(rf"{EXAMPLE}  damaged", text)
    assert good in text
    assert {one["id"]: bool(one["damage"]) for one in listed(lying)} == {good: False, cut: True, EXAMPLE: True}


def test_nothing_from_a_mail_is_obeyed_by_the_terminal(lying: Spool) -> None:
    queue_id = put(lying, b"\x1b[31m\xc2\x9b@example.org", sender=b"\x1b]0;x\x07@example.org")
    with lying.open(queue_id) as message:
        message.note_attempt(1, 0.0, "451 \x1b[2J")
    for command in (["queue"], ["queue", "--json"], ["mailq"]):
        shown = call(*command, *options(lying)).raw.replace(b"\n", b"")
        assert all(byte >= 32 for byte in shown)
        assert b"\xc2\x9b" not in shown


def test_a_message_under_delivery_shows_as_being_sent_and_cannot_be_touched(lying: Spool) -> None:
    queue_id = put(lying)
    with lying.open(queue_id):
        assert listed(lying)[0]["sending"] is True
        assert "sending" in call("queue", *options(lying)).text
        for command in ("delete", "hold", "release"):
            done = call(command, queue_id, *options(lying))
            assert done.code == 75
            assert "being delivered" in done.errors
    assert lying.ids(QUEUE) == [queue_id]


def test_listing_takes_no_lock(lying: Spool) -> None:
    """A courier that finds a lock leaves the message for later."""
    queue_id = put(lying)
    calls = subprocess.run(
        ["strace", "-f", "-e", "trace=flock", *relay_command("queue", *options(lying))],
        capture_output=True, text=True,
    ) if shutil.which("strace") else None  # fmt: skip
    if calls is not None and calls.returncode == 0:
        assert queue_id in calls.stdout
        assert "LOCK_" not in calls.stderr
    else:
        os.chmod(lying.path(QUEUE, queue_id), 0o400)
        from mailrelay.cli import queue_view

        fd = os.open(lying.path(QUEUE, queue_id), os.O_RDONLY)
        for entry in queue_view.entries(lying):
            assert entry.message is not None
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.flock(fd, fcntl.LOCK_UN)
        os.close(fd)


# show


def test_show_prints_the_envelope_and_the_message_as_it_was_meant(lying: Spool) -> None:
    queue_id = put(lying, text=b"Subject: x\r\n\r\n..dot\r\n\x1b[31m\xff\r\n")
    done = call("show", queue_id, *options(lying))
    head, _, message = done.raw.partition(b"\n\n")
    assert re.search(rb"sender +a@b.example", head)
    assert re.search(rb"recipient +owner@example.org +pending", head)
    assert message == b"Subject: x\n\n.dot\n\x1b[31m\xff\n"


@pytest.mark.terminal
def test_show_escapes_control_characters_on_a_terminal(lying: Spool) -> None:
    queue_id = put(lying, text="Subject: x\r\n\r\n\x1b[31m \x9b ünï \u202e\r\n".encode())
    ours, theirs = pty.openpty()
    subprocess.run(
        relay_command("show", queue_id, *options(lying)),
        stdout=theirs, timeout=60, check=True, env={"LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    shown = os.read(ours, 65536)
    os.close(theirs)
    os.close(ours)
    assert b"\x1b" not in shown
    assert "\\x1b[31m \\x9b ünï \\u202e\r\n".encode() in shown


def test_show_of_no_message_says_where_to_look(lying: Spool) -> None:
    for name in (EXAMPLE, "../../etc/passwd", ""):
        done = call("show", name, *options(lying))
        assert (done.code, done.errors.count("\n")) == (66, 1)


# delete, hold, release


def test_all_ids_are_tried_and_the_first_error_counts(lying: Spool) -> None:
    first, second = put(lying), put(lying)
    done = call("delete", first, EXAMPLE, "nonsense", second, *options(lying))
    assert done.code == 66
    assert done.errors.count("no such message") == 2
    assert lying.ids(QUEUE) == []


def test_delete_all_deletes_everything_and_counts(lying: Spool) -> None:
    move(lying, put(lying), HOLD)
    move(lying, put(lying), FAIL)
    put(lying)
    Path(lying.path(QUEUE, EXAMPLE)).write_bytes(b"damaged")
    done = call("delete", "--all", *options(lying))
    assert (done.code, done.text) == (0, "4 messages deleted\n")
    assert listed(lying) == []


def test_release_all_releases_all_that_is_held_or_has_failed_and_counts(lying: Spool) -> None:
    held, failed, waiting = (put(lying) for _ in range(3))
    move(lying, held, HOLD)
    with lying.open(failed) as message:
        message.set_statuses([FAILED])
        message.finish()
    with lying.open(waiting) as message:
        message.note_attempt(3, clock.boottime() + 200.0, "451")
    done = call("release", "--all", *options(lying))
    assert (done.code, done.text) == (0, "2 messages released\n")
    assert (lying.ids(HOLD), lying.ids(FAIL), lying.ids(QUEUE)) == ([], [], sorted([held, failed, waiting]))
    with lying.open(failed) as message:
        assert message.statuses == [PENDING]
    with lying.open(waiting) as message:
        assert message.attempts == 3, "what is in the queue waits as before"


def test_hold_and_release_move_and_make_due(lying: Spool) -> None:
    queue_id = put(lying, b"one@example.org", b"two@example.org", b"three@example.org")
    with lying.open(queue_id) as message:
        message.set_statuses([DELIVERED, FAILED, PENDING])
        message.note_attempt(3, clock.boottime() + 200.0, "451")
    assert call("hold", queue_id, *options(lying)).code == 0
    assert lying.ids(HOLD) == [queue_id]
    assert call("release", queue_id, *options(lying)).code == 0
    with lying.open(queue_id) as message:
        assert message.statuses == [DELIVERED, PENDING, PENDING]
        assert message.due == 0.0


def test_a_change_of_state_is_synced_in_both_directories(lying: Spool) -> None:
    if not shutil.which("strace"):
        pytest.skip("no strace")
    queue_id = put(lying)
    argv = ["strace", "-y", "-e", "trace=fsync,rename", *relay_command("hold", queue_id, *options(lying))]
    traced = subprocess.run(argv, capture_output=True, text=True)
    if traced.returncode:
        pytest.skip("strace may not trace here")
    after = traced.stderr.partition("rename(")[2]
    assert f"{lying.root}/queue>" in after
    assert f"{lying.root}/hold>" in after


def test_a_damaged_message_can_only_be_shown_and_deleted(lying: Spool) -> None:
    Path(lying.path(FAIL, EXAMPLE)).write_bytes(b"mailrelay 1\nwhat is left")
    assert call("release", EXAMPLE, *options(lying)).code == 65
    shown = call("show", EXAMPLE, *options(lying))
    assert shown.code == 65
    assert b"what is left" in shown.raw
    assert call("delete", EXAMPLE, *options(lying)).code == 0
    assert lying.ids(FAIL) == []


def test_without_a_spool_the_commands_say_what_to_do(tmp_path: Path) -> None:
    for command in (["queue"], ["show", EXAMPLE], ["delete", "--all"]):
        done = call(*command, "--spool", str(tmp_path / "none"), "--run-dir", str(tmp_path))
        assert (done.code, done.errors.count("\n")) == (66, 1)
        assert "--spool" in done.errors


def test_the_spool_is_found_by_the_config(lying: Spool, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(f"config mailrelay 'main'\n\toption spool '{lying.root}'\n")
    queue_id = put(lying)
    assert queue_id in call("queue", "--config", str(config), "--run-dir", str(tmp_path)).text


# Who may


@pytest.mark.root
def test_root_works_in_the_spool_as_its_owner(lying: Spool) -> None:
    queue_id = put(lying)
    give_away(lying)
    os.chmod(f"{lying.root}/hold", 0o500)  # root would not even notice
    assert call("queue", *options(lying)).code == 0
    done = call("hold", queue_id, *options(lying))
    assert done.code == 74
    assert "Permission denied" in done.errors
    assert lying.ids(QUEUE) == [queue_id]


@pytest.mark.root
def test_the_commands_work_where_the_spools_owner_cannot_read_our_code(lying: Spool, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    shutil.copytree(SOURCE, closed / "src", ignore=shutil.ignore_patterns("__pycache__"))
    closed.chmod(0o700)
    queue_id = put(lying, text=b"Subject: x\r\n\r\n\x1b\r\n")
    give_away(lying)
    for command in ("queue", "mailq", "show", "hold", "release", "delete"):
        ids = [] if command in ("queue", "mailq") else [queue_id]
        done = call(command, *ids, *options(lying), source=closed / "src")
        assert done.code == 0, (command, done.errors)


@pytest.mark.root
def test_others_are_told_who_may() -> None:
    python = python_for_all()
    with Relay("", smarthost(1)) as relay:
        queue_id = relay.send()
        for command in (["queue"], ["show", queue_id], ["delete", queue_id], ["hold", queue_id], ["flush"], ["mailq"]):
            done = call(*command, *places(relay), uid=STRANGER, python=python)
            assert (done.code, done.errors.count("\n")) == (77, 1), command
            assert "root" in done.errors
        done = call("release", queue_id, *places(relay), uid=STRANGER, python=python)
        assert done.code == 77
        assert call("check", "--config", str(relay.config), uid=STRANGER, python=python).code == 77
        assert relay.queue() == [queue_id]
        status = call("status", *places(relay), uid=STRANGER, python=python)
        assert (status.code, status.errors) == (0, "")


# With a running relay


@pytest.fixture
def relay(provider: ScriptedProvider) -> Iterator[Relay]:
    with Relay("", smarthost(provider)) as found:
        yield found


def test_held_mail_stays_until_it_is_released_and_then_goes_at_once(relay: Relay, provider: ScriptedProvider) -> None:
    provider.script = {"mail": "451 4.3.0 later"}
    queue_id = relay.send()
    relay.wait_log("deferred")
    wait(lambda: call("hold", queue_id, *places(relay)).code == 0, "it can be held once it is not being delivered")
    provider.script = {}
    assert call("flush", *places(relay)).code == 0
    other = relay.send()
    relay.wait_log(f"id={other}", 2)
    provider.wait_for(1)
    assert relay.queue(HOLD) == [queue_id]
    assert call("release", queue_id, *places(relay)).code == 0
    provider.wait_for(2)


@pytest.mark.parametrize("which", ["one", "--all"])
def test_released_failed_mail_is_tried_again(relay: Relay, provider: ScriptedProvider, which: str) -> None:
    provider.script = {"rcpt": ["550 5.1.1 no", None]}
    queue_id = relay.send()
    wait(lambda: relay.queue(FAIL) == [queue_id], "it fails")
    assert call("release", which if which == "--all" else queue_id, *places(relay)).code == 0
    provider.wait_for(1)
    wait(lambda: relay.queue() == [], "it is gone")


def test_flush_ignores_every_wait(relay: Relay, provider: ScriptedProvider) -> None:
    provider.script = {"banner": "450 busy"}
    relay.send()
    relay.wait_log("smarthost-failed")
    provider.script = {}
    done = call("flush", *places(relay))
    assert (done.code, done.errors) == (0, "")
    provider.wait_for(1)


def test_flush_of_one_message_leaves_the_others_waiting(relay: Relay, provider: ScriptedProvider) -> None:
    provider.script = {"mail": "451 later"}
    first, second = relay.send(), relay.send()
    relay.wait_log("deferred", 2)
    provider.script = {}
    assert call("flush", first, *places(relay)).code == 0
    provider.wait_for(1)
    wait(lambda: relay.queue() == [second], "the first is gone")
    assert len(provider.messages) == 1


def test_flush_without_a_relay_says_so() -> None:
    relay = Relay()
    done = call("flush", *places(relay))
    assert done.code == 75
    assert "not running" in done.errors


def test_queue_into_a_pipe_that_closes_says_nothing(lying: Spool) -> None:
    put(lying)
    argv = relay_command("queue", *options(lying))
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(argv, stdout=writer, stderr=subprocess.PIPE, timeout=60)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")
