"""Routers that are reached by SSH: a guest in QEMU, of the lab's firmware or an image of OpenWrt's, and one that is on
the network.

What only a guest can do is skipped on a router that runs already, and said.
"""

from __future__ import annotations

import contextlib
import re
import shlex
import subprocess
import time
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import testinfra
from testinfra.host import Host

from forge.core import timeouts
from forge.core.ports import greeting
from forge.lab import firmware as firmwares
from forge.lab import targets
from forge.servers import as_provider
from forge.site import site as sites
from forge.vm import machines, package_manager
from forge.vm.guest import Guest, Snapshot
from forge.vm.ssh import Ssh, public_key
from tests.support.router import SETTINGS, Result, Router

OURS = ("luci-app-mailrelay", "mailrelay", "mailrelay-postfix")  # the packages
# Settings, queue, certificates and code, whoever has put them there.
PLACES = (f"{SETTINGS}*", "/etc/mailrelay", "/etc/init.d/mailrelay", "/usr/lib/mailrelay")


class SshRouter(Router):
    """Either of them."""

    @property
    @abstractmethod
    def ssh(self) -> Ssh: ...

    @abstractmethod
    def keep_moment(self, name: str) -> None:
        """Remember its state, as far as that is possible."""

    @abstractmethod
    def return_to(self, name: str) -> None:
        """Bring its state back as it was then, as far as that is possible; the tests mend the rest."""

    def run(self, *words: str, input: str = "") -> Result:
        done = self.ssh.run(words[0] if len(words) == 1 else shlex.join(words), check=False, input=input)
        return Result(done.status, done.output)

    def upload(self, files: Iterable[Path]) -> None:
        self.ssh.put(list(files))

    @property
    def host(self) -> Host:
        """As testinfra sees it, over the same connection. Of its modules file (but for mode, owner and size, which ask
        stat), socket, sysctl, interface and mount_point hold on OpenWrt's busybox."""
        self.ssh.connect()
        return testinfra.get_host(self.ssh.testinfra)

    def listening(self, port: int = 0) -> set[str]:
        """address:port of every TCP server, or of those with that port."""
        found = self.host.socket.get_listening_sockets()
        own = {name.removeprefix("tcp://") for name in found if name.startswith("tcp://")}
        return {name for name in own if not port or name.endswith(f":{port}")}


class GuestRouter(SshRouter):
    """Everything can be done to it."""

    provider_address = machines.HOST_FROM_WAN

    def __init__(self, guest: Guest) -> None:
        self.guest = guest
        self._moments: dict[str, Snapshot] = {}

    @property
    def ssh(self) -> Ssh:
        return self.guest.ssh

    def lan(self, port: int) -> tuple[str, int]:
        return self.guest.lan(port)

    def stranger_address(self) -> tuple[str, int]:
        return self.guest.wan(25)

    def cut_power(self) -> None:
        self.guest.cut_power()
        self.guest.power_on()
        self.guest.wait()

    def reboot(self) -> None:
        self.guest.reboot()

    def keep_moment(self, name: str) -> None:
        self.ok("sync")  # what was set up long ago is on disk; a power cut soon after shall not take it
        self._moments[name] = self.guest.save(name)

    def return_to(self, name: str) -> None:
        self.guest.restore(self._moments[name])

    def reach(self, port: int) -> int:
        return port


class NetworkRouter(SshRouter):
    """A router on the network, by --host. Its LAN is where this machine is."""

    provider_address = "127.0.0.1"

    def __init__(self, ssh: Ssh) -> None:
        self._ssh = ssh
        self._tunnels: dict[int, subprocess.Popen[bytes]] = {}
        self._moments: dict[str, str] = {}
        self._before: set[str] | None = None  # its owner's files, when this run first installed something
        self._laid: set[str] = set()  # the packages that this run has put there
        self._put: list[str] = []  # and the files

    def refuse_if_used(self) -> None:
        """End the run where settings, queue, certificates or package are somebody's: the tests would take them for
        their own. Files and package manager are asked, as either may know nothing of what the other has."""
        found = sorted(self._ours()) + self._spools()
        if manager := package_manager.find(self.run):
            found += [f"the package {name} {version}" for name, version in manager.installed().items() if name in OURS]
        if found:
            pytest.exit(f"{self._ssh.host} is in use, and the tests would delete what it has: {', '.join(found)}", 4)

    def _ours(self) -> set[str]:
        """The places of settings, queue, certificates and code that are there."""
        return set(self.ok(f"ls -d {' '.join(PLACES)} 2>/dev/null; true").split())

    def _spools(self) -> list[str]:
        """The spool that settings name."""
        spool = self.run("uci -q get mailrelay.main.spool").output.strip()
        return [spool] if spool and self.run("test", "-e", spool).status == 0 else []

    def install(self, *files: Path) -> None:
        with self._noted():
            super().install(*files)

    def fetch(self, *names: str) -> bool:
        with self._noted():
            return super().fetch(*names)

    def put(self, path: str, text: str, mode: int = 0o644) -> None:
        if self.run("test", "-e", path).status:
            self._put.append(path)
        super().put(path, text, mode)

    @contextlib.contextmanager
    def _noted(self) -> Iterator[None]:
        """Note which packages come meanwhile, whether the installation fails or not."""
        there = set(self.packages.installed())
        if self._before is None:
            self._before = self._ours()
        try:
            yield
        finally:
            self._laid |= set(self.packages.installed()) - there

    @property
    def ssh(self) -> Ssh:
        return self._ssh

    def lan(self, port: int) -> tuple[str, int]:
        return self._ssh.host, port

    def reboot(self) -> None:
        self.run("(sleep 1; reboot) >/dev/null 2>&1 </dev/null &")
        self.close()
        end = timeouts.deadline(240)
        gone = False
        while time.monotonic() < end:
            there = greeting(self.lan(22), 2.0)
            if gone and there:
                for port in list(self._tunnels):
                    self._open_tunnel(port)
                return
            gone = gone or not there
            time.sleep(0.5)
        raise AssertionError("the router did not come back within four minutes")

    def keep_moment(self, name: str) -> None:
        self._moments[name] = self.ok(f"cat {SETTINGS} 2>/dev/null; true")

    def return_to(self, name: str) -> None:
        settings = self._moments[name]
        if not settings:
            pytest.skip("a router that has the package cannot be taken back to before")
        self.empty_queue()
        self.put(SETTINGS, settings, 0o600)
        self.ok("service mailrelay restart")
        if "option enabled '1'" in settings:
            self.wait_relay()
        else:
            self.wait(lambda: not self.listening(25), "the service has ended, as the settings say")

    def reach(self, port: int) -> int:
        """Through the SSH connection, as the router has no other way here."""
        if port not in self._tunnels:
            self._open_tunnel(port)
        return port

    def _open_tunnel(self, port: int) -> None:
        argv = [*self._ssh.argv[:-1], "-N", "-o", "ControlPath=none", "-R", f"127.0.0.1:{port}:127.0.0.1:{port}"]
        self._tunnels[port] = subprocess.Popen([*argv, self._ssh.argv[-1]], stdin=subprocess.DEVNULL)
        self.wait(
            lambda: f"127.0.0.1:{port}" in self.listening(), f"port {port} of this machine is there on the router"
        )

    def clean_up(self) -> None:
        """Take away what this run has put there: files one by one, and packages with what they leave behind."""
        self.run("rm", "-f", *self._put)
        if self._before is None:
            return
        self._take_away([name for name in OURS if name in self._laid])
        while left := self._laid & set(self.packages.installed()):  # what these needed; opkg leaves it
            self._take_away(sorted(left))
            if left == self._laid & set(self.packages.installed()):
                break
        self.run("rm", "-rf", *sorted(self._ours() - self._before))
        self.run(f"sed -i '/^{re.escape(self.provider_address)} {re.escape(as_provider.NAME)}$/d' /etc/hosts")

    def _take_away(self, names: Iterable[str]) -> None:
        for name in names:
            self.run(self.packages.remove(name))

    def close(self) -> None:
        for process in self._tunnels.values():
            process.terminate()
            process.wait()
        self._ssh.close()


def way_in(address: str, folder: Path) -> Ssh:
    """As --host names it."""
    found = re.fullmatch(r"(?:ssh://)?(?:(?P<user>[^@/]+)@)?(?P<host>[^@/:]+|\[[^]]+\])(?::(?P<port>\d+))?/?", address)
    if not found:
        raise pytest.UsageError(f"--host {address}: write ssh://root@192.168.1.1")
    return Ssh(found["host"], int(found["port"] or 22), user=found["user"] or "root", folder=folder)


def lab_site(folder: Path) -> Path:
    """A site file for the lab's firmware: nothing but a way in."""
    path = folder / "site.toml"
    path.write_text(f'[root]\nssh_keys = ["{public_key()}"]\n')
    return path


@contextlib.contextmanager
def asked_for(config: pytest.Config, folder: Path) -> Iterator[SshRouter]:
    """The router that pytest's options name, else a guest of the lab's; up, with nothing of ours installed."""
    if address := config.getoption("--host"):
        router = NetworkRouter(way_in(str(address), folder))
        router.refuse_if_used()
        try:
            yield router
        finally:
            router.clean_up()
            router.close()
        return
    target = str(config.getoption("--target") or targets.DEFAULT)
    image = config.getoption("--firmware")
    release, site = str(config.getoption("--release")), sites.load(lab_site(folder))
    firmware = Path(str(image)) if image else firmwares.build(target, release, site=site).folder
    with Guest(target, firmware, disk=True) as guest:
        yield GuestRouter(guest)
