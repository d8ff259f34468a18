"""A machine that has no process to spare, or a disk that refuses: the relay goes on, and catches up by itself."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailrelay.daemon import processes
from tests.support.relay import SOURCE, Relay, alive, relay_python, smarthost
from tests.support.scripted_provider import Hang, ScriptedProvider
from tests.support.waiting import wait

# Runs the relay as `python3 -I -S` would; refuses every fork, or every deletion from the queue, while a file is there.
LAUNCHER = """
import errno, os, runpy, sys

real = os.fork

def fork():
    if os.path.exists({flag!r}):
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return real()

real_unlink = os.unlink

def unlink(path):
    if "/queue/" in path and os.path.exists({flag!r} + ".disk"):
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    real_unlink(path)

os.fork, os.unlink = fork, unlink
source = sys.argv.pop(1)
sys.argv[0] = source
runpy.run_path(source, run_name="__main__")
"""


class Starved(Relay):
    """A relay on a machine that has no process to spare while the file `flag` is there."""

    @property
    def flag(self) -> Path:
        return self.folder / "no-process"

    def command(self, *arguments: str) -> list[str]:
        launcher = self.folder / "launcher.py"
        launcher.write_text(LAUNCHER.format(flag=str(self.flag)))
        return [relay_python(), "-I", "-S", str(launcher), str(SOURCE), *arguments]


@pytest.fixture
def starved(provider: ScriptedProvider) -> Iterator[Starved]:
    with Starved("", smarthost(provider)) as found:
        yield found


def test_a_courier_is_started_as_soon_as_there_is_a_process_for_it(
    starved: Starved, provider: ScriptedProvider
) -> None:
    starved.flag.touch()
    starved.send()
    starved.wait_log("no-process")
    starved.send()
    assert provider.count("connect") == 0
    starved.flag.unlink()
    provider.wait_for(2)
    assert starved.log().count("no-process") == 1, "told once"


def test_a_reload_is_made_up_for_and_the_old_settings_go_on_until_then(
    starved: Starved, provider: ScriptedProvider
) -> None:
    before = starved.listener()
    starved.flag.touch()
    starved.configure("list alias 'root=owner@example.org'", smarthost(provider))
    os.kill(starved.pid, signal.SIGHUP)
    starved.wait_log("no-process")
    with starved.connect() as client:
        client.say("EHLO x", "250")
    assert starved.listener() == before and "reloaded" not in starved.log()
    starved.flag.unlink()
    starved.wait_log("reloaded")
    wait(lambda: not alive(before), "the new listener has taken over")
    starved.send(b"Subject: x\r\n\r\nx\r\n", "root")
    provider.wait_for(1)


def test_a_listener_that_has_died_is_replaced(starved: Starved, provider: ScriptedProvider) -> None:
    starved.flag.touch()
    os.kill(starved.listener(), signal.SIGKILL)
    starved.wait_log("no-process")
    starved.flag.unlink()
    starved.send()
    provider.wait_for(1)


def test_a_start_waits_for_a_process(provider: ScriptedProvider) -> None:
    relay = Starved("", smarthost(provider))
    relay.flag.touch()

    def recover() -> None:
        relay.wait_log("no-process")
        relay.flag.unlink()

    thread = threading.Thread(target=recover)
    thread.start()
    with relay:
        thread.join()
        relay.send()
        provider.wait_for(1)


def test_what_cannot_be_deleted_is_sent_once_whatever_comes_and_goes(
    starved: Starved, provider: ScriptedProvider
) -> None:
    broken = Path(f"{starved.flag}.disk")
    broken.touch()
    starved.send()
    starved.wait_log("not-recorded")
    for count in (2, 3):
        starved.flush()
        starved.wait_log("not-recorded", count)
    os.kill(starved.pid, signal.SIGHUP)
    starved.wait_log("reloaded")
    starved.flush()
    starved.wait_log("not-recorded", 4)
    provider.script = {"dot#2": Hang()}
    starved.send()
    wait(lambda: provider.count("dot") == 2, "a courier waits")
    starved.send()
    provider.wait_for(2)
    assert sorted(provider.count(step) for step in ("dot", "mail")) == [3, 3], "none of them had the first one again"
    broken.unlink()
    provider.script = {}
    os.kill(starved.courier(), signal.SIGKILL)
    provider.wait_for(3)
    starved.flush()
    wait(lambda: starved.queue() == [], "all is recorded")
    assert len(provider.messages) == 3


def test_a_fork_that_fails_leaves_signals_and_descriptors_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", refuse)
    before = sorted(os.listdir("/proc/self/fd")), signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with pytest.raises(BlockingIOError):
        processes.fork(lambda: None, ())
    with pytest.raises(BlockingIOError):
        processes.load([])
    assert before == (sorted(os.listdir("/proc/self/fd")), signal.pthread_sigmask(signal.SIG_BLOCK, ()))
