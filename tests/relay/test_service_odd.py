"""The whole relay when several things go wrong at once, or at a bad moment."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from mailrelay.spool import spool
from tests.relay.running import Relay, smarthost, wait
from tests.relay.scripted import Action, Drop, ScriptedProvider, Step

# ---- the courier's choices ------------------------------------------------------------------------------------------


def test_mail_whose_sender_has_no_smarthost_fails_and_the_rest_goes(provider: ScriptedProvider) -> None:
    with Relay("", smarthost(provider, "a", "list sender '@shop.example'")) as relay:
        queue_id = relay.send(sender="other@x.org")
        assert "No smarthost" in relay.wait_log(f"failed id={queue_id}")
        relay.send(sender="plc@shop.example")
        provider.wait_for(1)
        wait(lambda: relay.queue("failed") == [queue_id], "it lies in failed/")
        assert "crashed" not in relay.log()


def test_one_mail_that_breaks_every_connection_does_not_stop_the_others(provider: ScriptedProvider) -> None:
    poisoned = False

    def script(step: Step) -> Action:
        nonlocal poisoned
        if step.name == "mail":
            poisoned = b"poison" in step.argument
        return Drop() if step.name == "dot" and poisoned else None

    provider.script = {"banner": ["421 not now"]}
    with Relay("option retry_min '1'", smarthost(provider)) as relay:
        for subject in (b"a", b"b", b"c"):
            relay.send(b"Subject: %s\r\n\r\nx\r\n" % subject)
        relay.send(sender="poison@example.net")
        provider.script = script
        provider.wait_for(3, 30.0)
        wait(lambda: len(relay.queue()) == 1, "only that one waits")


def test_a_failed_mail_says_why_in_the_queue(relay: Relay, provider: ScriptedProvider) -> None:
    provider.script = {"rcpt": ["550 5.1.1 no such user"]}
    queue_id = relay.send()
    wait(lambda: relay.queue("failed") == [queue_id], "it lies in failed/")
    with spool.Spool(str(relay.spool)).open(queue_id, spool.FAIL) as message:
        assert "no such user" in message.answer
        assert message.attempts == 1


def test_the_owners_program_hears_of_a_refused_login_once_not_at_each_try(tmp_path: Path) -> None:
    heard = tmp_path / "heard"
    heard.touch()
    heard.chmod(0o666)
    for folder in tmp_path.parents:
        if folder != Path("/tmp") and folder.stat().st_uid == os.getuid() and folder != folder.parent:
            folder.chmod(folder.stat().st_mode | 0o055)
    tmp_path.chmod(0o777)
    program = tmp_path / "notify"
    program.write_text(f'#!/bin/sh\necho "$MAILRELAY_EVENT" >>{heard}\n')
    program.chmod(0o755)
    with ScriptedProvider(users={"shop": "right"}) as provider:
        section = smarthost(provider).replace("option auth 'none'", "option auth 'plain'")
        section += "\toption username 'shop'\n\toption password 'wrong'\n"
        main = f"option notify '{program}'\noption retry_min '1'\noption retry_max '1'"
        with Relay(main, section) as relay:
            relay.send()
            relay.wait_log("cause=login-refused", 3)
            assert heard.read_text().split() == ["login-refused"]


def test_a_smarthost_that_breaks_at_every_mail_rests_longer_each_time(provider: ScriptedProvider) -> None:
    provider.script = {"mail": Drop()}
    with Relay("option retry_min '1'\noption retry_max '60'", smarthost(provider)) as relay:
        for _ in range(30):
            relay.send()
        time.sleep(6.0)
        assert provider.count("connect") <= 9, "twice at once, then after 1, 2 and 4 seconds"


# ---- room -----------------------------------------------------------------------------------------------------------


def test_mail_that_comes_in_at_the_same_time_keeps_to_the_limit_together(provider: ScriptedProvider) -> None:
    provider.script = {"banner": "421 not now"}
    main = "option max_queue_size '1M'\noption max_message_size '900K'"
    with Relay(main, smarthost(provider)) as relay:
        clients = [relay.connect() for _ in range(10)]
        for client in clients:
            client.say("EHLO x", "250")
            client.say("MAIL FROM:<a@x.org>", "250")
            client.say("RCPT TO:<b@x.org>", "250")
            client.say("DATA", "354")
        line = b"x" * 98 + b"\r\n"
        for _ in range(8):
            for client in clients:
                client.sock.sendall(line * 1000)
        replies = [client.say(b".")[:3] for client in clients]
        for client in clients:
            client.close()
        assert set(replies) <= {"250", "452"} and replies.count("250") <= 1, replies
        held = sum(path.stat().st_size for path in relay.spool.glob("*/*"))
        assert held < 1 << 20


def cpu(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def test_idle_and_resting_processes_use_no_processor_time(provider: ScriptedProvider) -> None:
    provider.script = {"banner": "421 not now"}
    with Relay("option retry_min '3600'\noption retry_max '3600'", smarthost(provider)) as relay:
        relay.send()
        wait(lambda: relay.status().get("next_try"), "the smarthost rests")
        relay.send()
        pids = [relay.pid, relay.listener()]
        before = [cpu(pid) for pid in pids]
        time.sleep(3.0)
        assert [now - then for now, then in zip([cpu(pid) for pid in pids], before)] == pytest.approx([0, 0], abs=0.1)
