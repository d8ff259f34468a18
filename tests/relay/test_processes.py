"""The relay's processes: signals, kills at a bad moment, what each of them holds and must not hold."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import time
from pathlib import Path

import pytest

from forge.core.errors import ForgeError
from mailrelay.daemon import processes
from mailrelay.spool import spool
from tests.support.relay import Relay, alive, free_port, smarthost, user
from tests.support.scripted_provider import Hang, ScriptedProvider
from tests.support.waiting import wait


def leave_in_queue(relay: Relay) -> str:
    """A message that nobody was told of, as a listener leaves it that dies between its 250 and the pipe."""
    envelope = spool.Envelope(b"plc@example.net", [b"owner@example.org"], "127.0.0.1")
    queue_id = spool.Spool(str(relay.spool)).submit(envelope, [b"Subject: found\r\n\r\nx\r\n"])
    owner = relay.spool.stat()
    os.chown(relay.spool / "queue" / queue_id, owner.st_uid, owner.st_gid)
    return queue_id


# ---- signals, kills, secrets ----------------------------------------------------------------------------------------


def test_a_faulty_config_is_refused_and_the_old_one_goes_on(relay: Relay, provider: ScriptedProvider) -> None:
    good = relay.config.read_text()
    relay.config.write_text(good.replace("option retry_min", "option retyr_min"))
    os.kill(relay.pid, signal.SIGHUP)
    assert "retyr_min" in relay.wait_log("refused-to-run")
    relay.wait_log("reload-refused")
    relay.send()
    provider.wait_for(1)


def test_a_session_that_has_begun_survives_a_reload(relay: Relay, provider: ScriptedProvider) -> None:
    with relay.connect() as client:
        client.say("EHLO x", "250")
        before = relay.listener()
        os.kill(relay.pid, signal.SIGHUP)
        relay.wait_log("reloaded")
        client.mail(b"Subject: x\r\n\r\nx\r\n")
    provider.wait_for(1)
    wait(lambda: not alive(before), "the old listener ends after its last session")


@pytest.fixture
def busy(relay: Relay, provider: ScriptedProvider) -> Relay:
    """A relay whose courier waits for an answer to its first message's final dot."""
    provider.script = {"dot": [Hang()]}
    relay.send()
    wait(lambda: provider.count("dot") == 1, "the provider hangs at the dot")
    return relay


def test_term_ends_within_four_seconds_even_while_the_provider_hangs(busy: Relay, provider: ScriptedProvider) -> None:
    before = busy.queue()
    began = time.monotonic()
    assert busy.stop() == 0
    assert time.monotonic() - began < 4.0
    assert len(before) == 1 and busy.queue() == before
    busy.start()
    provider.wait_for(1)


@pytest.mark.parametrize("role", ["listener", "courier", "supervisor"])
def test_kill_9_of_any_role_leaves_no_orphan_and_loses_nothing(
    busy: Relay, provider: ScriptedProvider, role: str
) -> None:
    pids = {"listener": busy.listener(), "courier": busy.courier(), "supervisor": busy.pid}
    os.kill(pids[role], signal.SIGKILL)
    if role == "supervisor":
        assert busy.process is not None
        busy.process.wait()
        wait(lambda: not any(alive(pid) for pid in pids.values()), "the children end by themselves")
        busy.start()
    else:
        wait(lambda: not alive(pids[role]), "it is dead")
    busy.send()
    if role == "listener":
        os.kill(pids["courier"], signal.SIGKILL)  # it would wait for the provider for ten minutes
    provider.wait_for(2)
    couriers = [pid for pid in busy.children() if pid != busy.listener()]
    assert len(couriers) <= 1


def test_a_second_relay_on_the_same_spool_is_refused(relay: Relay) -> None:
    other = Relay("", smarthost(1))
    other.spool = relay.spool
    with pytest.raises(ForgeError, match="another relay uses this spool"):
        other.start()


def test_the_listeners_memory_never_holds_the_password() -> None:
    with ScriptedProvider(users={"shop": "t0psecret-Xyzzy"}) as provider:
        section = smarthost(provider).replace("option auth 'none'", "option auth 'login'")
        section += "\toption username 'shop'\n\toption password 't0psecret-Xyzzy'\n"
        with Relay("", section) as relay:
            relay.send()
            provider.wait_for(1)
            for pid in (relay.listener(), relay.pid):
                assert b"relay.example.net" in memory(pid), "the search finds what is there"
                assert b"t0psecret" + b"-Xyzzy" not in memory(pid)
            assert "t0psecret-Xyzzy" not in Path(f"/proc/{relay.pid}/cmdline").read_text()


def memory(pid: int) -> bytes:
    """All writable memory of a process."""
    found = []
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            span, rights, *_ = line.split()
            if rights.startswith("rw") and "[v" not in line:
                start, end = (int(word, 16) for word in span.split("-"))
                mem.seek(start)
                try:
                    found.append(mem.read(end - start))
                except OSError:
                    continue
    return b"".join(found)


# ---- processes ------------------------------------------------------------------------------------------------------


def test_what_a_retired_listener_could_not_announce_is_delivered(relay: Relay, provider: ScriptedProvider) -> None:
    with relay.connect() as client:
        client.say("EHLO x", "250")
        retired = relay.listener()
        before = time.time()
        os.kill(relay.pid, signal.SIGHUP)
        relay.wait_log("reloaded")
        wait(lambda: relay.status().get("updated", 0.0) > before, "the status is of after the reload")
        wait(
            lambda: not relay.status().get("delivering") and not relay.role("courier"),
            "its look into the queue is over",
        )
        leave_in_queue(relay)
        os.kill(retired, signal.SIGKILL)
        provider.wait_for(1)


def test_a_second_serve_leaves_the_settings_of_the_first_alone(relay: Relay, provider: ScriptedProvider) -> None:
    other = Relay("", smarthost(free_port(), "elsewhere"))
    argv = other.command("serve", "--config", str(other.config), "--listen", f"127.0.0.1:{free_port()}")
    argv += ["--spool", str(relay.spool), "--run-dir", str(relay.run_dir), "--log", "stderr", *user()]
    second = subprocess.Popen(argv, stderr=subprocess.PIPE)
    wait(lambda: catches(second.pid, signal.SIGTERM), "it is on its way to the spool")
    began = time.monotonic()
    second.terminate()
    second.communicate(timeout=20)
    assert time.monotonic() - began < 4.0, "TERM counts while it waits for the spool, too"
    relay.send()
    provider.wait_for(1)


def catches(pid: int, number: int) -> bool:
    """Whether a process has a handler for that signal."""
    status = Path(f"/proc/{pid}/status").read_text()
    return bool(int(status.partition("SigCgt:")[2].split()[0], 16) >> number - 1 & 1)


def test_signals_to_the_whole_group_end_nobody(busy: Relay) -> None:
    pids = busy.children()
    for pid in pids:
        os.kill(pid, signal.SIGUSR1)
        os.kill(pid, signal.SIGHUP)
    time.sleep(0.3)
    assert all(alive(pid) for pid in pids)


def test_a_port_that_is_given_up_is_free_although_a_courier_is_busy(busy: Relay) -> None:
    inode = os.readlink(f"/proc/{busy.pid}/fd/{listening_fd(busy)}")
    held = [os.readlink(path) for path in Path(f"/proc/{busy.courier()}/fd").iterdir()]
    assert inode not in held
    assert "libssl" not in Path(f"/proc/{busy.courier()}/maps").read_text(), "TLS costs memory"


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


def test_a_signal_to_a_child_that_was_just_forked_never_rings_the_parents_bell() -> None:
    bell_r, bell_w = os.pipe2(os.O_NONBLOCK)
    handlers = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGCHLD)}
    before = signal.set_wakeup_fd(bell_w, warn_on_full_buffer=False)
    try:
        for _ in range(50):
            pid = processes.fork(lambda: time.sleep(20), ())
            os.kill(pid, signal.SIGTERM)
            assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGTERM
    finally:
        signal.set_wakeup_fd(before)
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert set(os.read(bell_r, 4096)) == {signal.SIGCHLD}
    os.close(bell_r)
    os.close(bell_w)


@pytest.mark.parametrize(
    "line", ["trouble disk", "trouble disk\tx\t0", "host provider\tx", "failed\tid\tmany", "ended a"]
)
def test_what_an_earlier_courier_has_left_and_nobody_can_read_stops_no_mail(line: str) -> None:
    with ScriptedProvider() as provider:
        relay = Relay("", smarthost(provider))
        relay.run_dir.mkdir()
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        (relay.run_dir / "state").write_text(f"{boot_id}\nremember\t{line}\n")
        with relay:
            relay.send()
            provider.wait_for(1)
            relay.wait_log("bad-state")
