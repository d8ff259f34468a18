"""What was acknowledged arrives: through kills under load, a power cut, and a full disk."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import re
import signal
import smtplib
import struct
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from forge.core import timeouts
from forge.host.namespaces import apart, enter
from tests.support.relay import SMARTHOST, Relay
from tests.support.scripted_provider import ScriptedProvider
from tests.support.waiting import wait

MESSAGES = 2000
KILLS = 10  # of each role, at least
ROLES = ("listener", "courier", "supervisor")
SENDERS = 4
NUMBER = re.compile(rb"Subject: number (\d+)\r\n")


class Load:
    """Clients that send numbered mails until all are acknowledged, and note which acknowledgement they have read."""

    def __init__(self, relay: Relay, count: int) -> None:
        self.relay = relay
        self.numbers = iter(range(count))
        self.lock = threading.Lock()
        self.acknowledged: set[int] = set()
        self.attempts: Counter[int] = Counter()
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=self._run, daemon=True) for _ in range(SENDERS)]

    def __enter__(self) -> Load:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.join()

    def finish(self) -> None:
        """No further mails; returns when those that are begun have been acknowledged."""
        with self.lock:
            self.numbers = iter(())
        self.join()

    def join(self, timeout: float = 150) -> None:
        deadline = time.monotonic() + timeout
        for thread in self.threads:
            thread.join(max(deadline - time.monotonic(), 0.1))
            assert not thread.is_alive(), "the clients do not get their mail accepted"

    def _run(self) -> None:
        client = None
        while not self.stop.is_set():
            with self.lock:
                number = next(self.numbers, None)
            if number is None:
                break
            while number not in self.acknowledged and not self.stop.is_set():
                self.attempts[number] += 1
                try:
                    if client is None:
                        client = smtplib.SMTP("127.0.0.1", self.relay.port, timeout=20)
                    client.sendmail("plc@x.org", ["owner@x.org"], b"Subject: number %d\r\n\r\nx\r\n" % number)
                    self.acknowledged.add(number)
                except (OSError, smtplib.SMTPException):
                    client = None
        if client is not None:
            with contextlib.suppress(OSError, smtplib.SMTPException):
                client.quit()


def numbers(provider: ScriptedProvider) -> Counter[int]:
    found: Counter[int] = Counter()
    for mail in list(provider.messages):
        match = NUMBER.search(mail.raw)
        assert match, mail.raw
        found[int(match[1])] += 1
    return found


@pytest.mark.timeout(300)
def test_two_thousand_mails_under_kill_9_of_each_role_all_arrive() -> None:
    """However fast the disk: the load goes on until there were 2,000 mails and every role was killed often enough."""
    chance = random.Random(20)
    kills: Counter[str] = Counter()
    with ScriptedProvider() as provider:
        main = "option retry_min '1'\noption retry_max '1'"
        with Relay(main, SMARTHOST.format(port=provider.port)) as relay, Load(relay, 10**9) as load:
            deadline = timeouts.deadline(150)
            while len(load.acknowledged) < MESSAGES or any(kills[role] < KILLS for role in ROLES):
                assert time.monotonic() < deadline, f"accepted {len(load.acknowledged)}, killed {dict(kills)}"
                time.sleep(chance.uniform(0.05, 0.3))
                # Every other time the one that was hit least: a courier is not always there.
                role = chance.choice([chance.choice(ROLES), min(ROLES, key=lambda one: kills[one])])
                pid = relay.pid if role == "supervisor" else relay.role(role)
                if pid is None:
                    continue
                os.kill(pid, signal.SIGKILL)
                kills[role] += 1
                if role == "supervisor":
                    assert relay.process is not None
                    relay.process.wait()
                    relay.start()
            load.finish()
            provider.wait_for(lambda _: load.acknowledged <= numbers(provider).keys(), 60)
            wait(lambda: relay.queue() == [], "the queue is empty")
            assert relay.queue("failed") == []
            arrived = numbers(provider)
    # A second copy has one of two causes: the client sent again because its 250 was lost, or the courier died between
    # the provider's answer and the unlink, with at most two messages on their way.
    twice = sum(arrived[number] - 1 for number in arrived if load.attempts[number] == 1)
    assert twice <= 2 * (kills["courier"] + kills["supervisor"])
    print(f"mails {len(load.acknowledged)}, kills {dict(kills)}, sent twice by the courier {twice}")


SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN
NO_LOG_FLUSH = 2  # EXT4_GOING_FLAGS_NOLOGFLUSH


class Disk:
    """A file system of its own, in a mount namespace of its own: `path` leads into it.

    In the common one, whoever makes a namespace at that moment holds on to it, however often it is unmounted here.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder / "mnt"
        self.folder.mkdir()
        self.options = options
        self.holder = subprocess.Popen(
            [*apart(), "sh", "-c", "echo && exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.holder.stdout
        self.holder.stdout.readline()
        self.path = Path(f"/proc/{self.holder.pid}/root{self.folder}")
        done = self.mount()
        if done.returncode:
            self.close()
            pytest.skip(f"cannot mount here: {done.stderr.strip()}")

    def _run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*enter(self.holder.pid), *argv], capture_output=True, text=True, check=False)

    def mount(self) -> subprocess.CompletedProcess[str]:
        return self._run("mount", *self.options, str(self.folder))

    def mount_again(self) -> None:
        """After the last process that was killed has let go of it."""
        wait(lambda: self._run("umount", str(self.folder)).returncode == 0, "it can be unmounted")
        done = self.mount()
        assert done.returncode == 0, done.stderr

    def cut_power(self) -> None:
        """From here on nothing reaches that disk any more, not even what the kernel holds in memory."""
        fd = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(fd)

    def close(self) -> None:
        """The namespace goes with its last process, and the mount with the namespace."""
        self.holder.kill()
        self.holder.communicate()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """An ext4 file system, mounted through a loop device."""
    image = tmp_path / "disk"
    with image.open("wb") as file:
        file.truncate(64 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
    with contextlib.closing(Disk(tmp_path, "-o", "loop", str(image))) as disk:
        yield disk


@contextlib.contextmanager
def on_disk(disk: Disk, main: str = "") -> Iterator[tuple[Relay, ScriptedProvider]]:
    """A relay with its spool there, and a provider that takes nothing yet."""
    with ScriptedProvider({"banner": "421 4.3.2 closed"}) as provider:
        relay = Relay(main, SMARTHOST.format(port=provider.port))
        relay.options = ("--user", "root")
        relay.spool = disk.path / "spool"
        relay.start()
        try:
            yield relay, provider
        except BaseException:
            print(relay.log()[-5000:])
            raise
        finally:
            relay.stop()


@pytest.mark.root
def test_a_power_cut_right_after_the_250_of_a_single_mail(disk: Disk) -> None:
    """Under load, the next mail's sync would cover for a missing one."""
    with on_disk(disk) as (relay, _):
        queue_id = relay.send()
        disk.cut_power()
        relay.stop(signal.SIGKILL)
        disk.mount_again()
        assert relay.queue() == [queue_id]


@pytest.mark.root
@pytest.mark.timeout(180)
def test_after_a_power_cut_every_acknowledged_mail_is_there(disk: Disk) -> None:
    with on_disk(disk) as (relay, provider):
        with Load(relay, 10**9) as load:
            wait(lambda: len(load.acknowledged) >= 300, "some hundred mails are accepted", 60)
            disk.cut_power()
            load.stop.set()
            load.join()
        promised = set(load.acknowledged)
        relay.stop(signal.SIGKILL)
        disk.mount_again()
        provider.script = {}
        relay.start()
        provider.wait_for(lambda _: promised <= numbers(provider).keys(), 60)
        assert len(promised) >= 300
        assert relay.queue("failed") == []
        print(f"acknowledged {len(promised)}, arrived {len(numbers(provider))}")


@pytest.mark.root
@pytest.mark.timeout(120)
def test_a_full_disk_is_answered_452_loses_nothing_and_recovers(tmp_path: Path) -> None:
    small = Disk(tmp_path, "-t", "tmpfs", "-o", "size=2m", "tmpfs")
    with contextlib.closing(small) as disk, on_disk(disk, "option max_queue_size '1G'") as (relay, provider):
        accepted = 0
        body = b"x" * 70 + b"\r\n"
        with relay.connect() as client:
            client.say("EHLO x", "250")
            while True:
                reply = client.say("MAIL FROM:<a@x.org>")
                if reply.startswith("250"):
                    client.say("RCPT TO:<b@x.org>", "250")
                    reply = client.say("DATA")
                if reply.startswith("354"):
                    head = b"Subject: number %d\r\n\r\n" % accepted
                    reply = client.say(head + body * 1000 + b".")
                if not reply.startswith("250"):
                    break
                accepted += 1
                assert accepted < 100
        assert reply.startswith("452 4.3.1"), reply
        assert accepted >= 10
        assert len(relay.queue()) == accepted, "what was refused left nothing behind"
        provider.script = {}
        relay.flush()
        provider.wait_for(accepted)
        assert numbers(provider) == Counter(range(accepted))
        wait(lambda: relay.queue() == [], "the queue is empty")
        wait(lambda: _takes_mail(relay), "it takes mail again")


def _takes_mail(relay: Relay) -> bool:
    with relay.connect() as client:
        client.say("EHLO x", "250")
        return client.say("MAIL FROM:<a@x.org> SIZE=70000").startswith("250")
