"""The whole relay when several things go wrong at once, or at a bad moment."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.relay.running import Relay, smarthost, wait
from tests.relay.scripted import ScriptedProvider

# ---- the courier's choices ------------------------------------------------------------------------------------------


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
