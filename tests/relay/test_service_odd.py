"""The whole relay when several things go wrong at once, or at a bad moment."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailrelay.spool import spool
from tests.relay.running import Relay, alive, free_port, user, wait
from tests.relay.scripted import Action, Drop, Hang, ScriptedProvider, Step
from tests.relay.test_service import smarthost


@pytest.fixture
def relay(provider: ScriptedProvider) -> Iterator[Relay]:
    with Relay("option retry_min '1'", smarthost(provider)) as found:
        yield found


def leave_in_queue(relay: Relay, subject: bytes = b"found", sender: bytes = b"plc@example.net") -> str:
    """A message that nobody was told of, as a listener leaves it that dies between its 250 and the pipe."""
    envelope = spool.Envelope(sender, [b"owner@example.org"], "127.0.0.1")
    queue_id = spool.Spool(str(relay.spool)).submit(envelope, [b"Subject: %s\r\n\r\nx\r\n" % subject])
    owner = relay.spool.stat()
    os.chown(relay.spool / "queue" / queue_id, owner.st_uid, owner.st_gid)
    return queue_id


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


# ---- processes ------------------------------------------------------------------------------------------------------


def test_what_a_retired_listener_could_not_announce_is_delivered(relay: Relay, provider: ScriptedProvider) -> None:
    with relay.connect() as client:
        client.say("EHLO x", "250")
        retired = relay.listener()
        os.kill(relay.pid, signal.SIGHUP)
        relay.wait_log("reloaded")
        wait(lambda: not relay.status().get("delivering") and relay.status().get("queue") == 0, "nothing is due")
        time.sleep(1.5)
        leave_in_queue(relay)
        os.kill(retired, signal.SIGKILL)
        provider.wait_for(1)


def test_a_second_serve_leaves_the_settings_of_the_first_alone(relay: Relay, provider: ScriptedProvider) -> None:
    other = Relay("", smarthost(free_port(), "elsewhere"))
    argv = other.command("serve", "--config", str(other.config), "--listen", f"127.0.0.1:{free_port()}")
    argv += ["--spool", str(relay.spool), "--run-dir", str(relay.run_dir), "--log", "stderr", *user()]
    second = subprocess.Popen(argv, stderr=subprocess.PIPE)
    time.sleep(1.0)
    began = time.monotonic()
    second.terminate()
    second.communicate(timeout=20)
    assert time.monotonic() - began < 4.0, "TERM counts while it waits for the spool, too"
    relay.send()
    provider.wait_for(1)


def test_signals_to_the_whole_group_end_nobody(provider: ScriptedProvider) -> None:
    with Relay("", smarthost(provider)) as relay:
        provider.script = {"dot": [Hang()]}
        relay.send()
        wait(lambda: provider.count("dot") == 1, "the courier is busy")
        pids = relay.children()
        for pid in pids:
            os.kill(pid, signal.SIGUSR1)
            os.kill(pid, signal.SIGHUP)
        time.sleep(0.3)
        assert all(alive(pid) for pid in pids)


def test_a_port_that_is_given_up_is_free_although_a_courier_is_busy(provider: ScriptedProvider) -> None:
    provider.script = {"dot": [Hang()]}
    with Relay("", smarthost(provider)) as relay:
        relay.send()
        wait(lambda: provider.count("dot") == 1, "the courier is busy")
        inode = os.readlink(f"/proc/{relay.pid}/fd/{listening_fd(relay)}")
        held = [os.readlink(path) for path in Path(f"/proc/{relay.courier()}/fd").iterdir()]
        assert inode not in held


def listening_fd(relay: Relay) -> int:
    """The supervisor's descriptor of its listening socket."""
    inodes = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        if words[3] == "0A" and int(words[1].rpartition(":")[2], 16) == relay.port:
            inodes.add(f"socket:[{words[9]}]")
    for fd in os.listdir(f"/proc/{relay.pid}/fd"):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/{relay.pid}/fd/{fd}") in inodes:
                return int(fd)
    raise AssertionError("the supervisor does not listen")


def test_a_reload_does_not_start_the_days_count_anew(provider: ScriptedProvider) -> None:
    with Relay("", smarthost(provider, "a", "rate '2/day'")) as relay:
        for _ in range(2):
            relay.send()
        provider.wait_for(2)
        wait(lambda: not relay.status().get("delivering") and relay.status()["queue"] == 0, "both are through")
        os.kill(relay.pid, signal.SIGHUP)
        relay.wait_log("reloaded")
        relay.send()
        wait(lambda: relay.status().get("next_try"), "the third waits for tomorrow")
        assert len(provider.messages) == 2


def test_file_limits_follow_the_settings_at_a_reload(provider: ScriptedProvider) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= hard < 3200:
        pytest.skip(f"no more than {hard} files are allowed here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        with Relay("option max_connections '50'", smarthost(provider)) as relay:
            before = relay.listener()
            relay.configure("option max_connections '1500'", smarthost(provider))
            os.kill(relay.pid, signal.SIGHUP)
            relay.wait_log("reloaded")
            wait(lambda: not alive(before), "the new listener has taken over")
            limits = Path(f"/proc/{relay.listener()}/limits").read_text()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    files = next(int(line.split()[3]) for line in limits.splitlines() if line.startswith("Max open files"))
    assert files >= 3000, "a socket and a file for each connection"


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
