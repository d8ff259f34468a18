"""The router that the tests run on, whatever it is: a lab guest, a guest from a real image, or a router on the network.

No test knows which. What only some of them can do (power cuts, a stranger on the WAN, a moment brought back) has a
method here, which skips the test with the reason where it can't be had.
"""

from __future__ import annotations

import contextlib
import functools
import json
import re
import shlex
import smtplib
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
import testinfra
from testinfra.host import Host

from forge.core import proc, timeouts
from forge.servers import as_provider
from forge.servers.postfix import Provider
from forge.vm import machines
from forge.vm.guest import Guest, Snapshot
from forge.vm.ssh import Ssh

T = TypeVar("T")
PATIENCE = 30.0  # seconds, times the machine's pace, until what should happen soon counts as not happening
SPOOL = "/etc/mailrelay/spool"
STATUS = "/var/run/mailrelay/status.json"


class Router(ABC):
    """Commands as root by SSH, mail from its LAN side, and the settings of the package under test."""

    provider_address: str  # where the router reaches a server on this machine's loopback
    _moments: dict[str, Any]

    def __init__(self) -> None:
        self._moments = {}

    # ---- what the kinds differ in ----------------------------------------------------------------------------------

    @property
    @abstractmethod
    def ssh(self) -> Ssh: ...

    @abstractmethod
    def smtp_address(self) -> tuple[str, int]:
        """The relay as a machine on the LAN reaches it."""

    @abstractmethod
    def stranger_address(self) -> tuple[str, int]:
        """Port 25 as somebody on the WAN reaches it."""

    @abstractmethod
    def cut_power(self) -> None:
        """Off and on again, with nothing written back; returns when it is up."""

    @abstractmethod
    def reboot(self) -> None: ...

    @abstractmethod
    def keep_moment(self, name: str) -> None:
        """Remembers its state, as far as that is possible."""

    @abstractmethod
    def return_to(self, name: str) -> None:
        """Its state as it was then, as far as that is possible; the tests mend the rest."""

    @abstractmethod
    def reach(self, port: int) -> int:
        """The port under which the router finds this machine's loopback port at `provider_address`."""

    # ---- commands --------------------------------------------------------------------------------------------------

    def run(self, command: str, *, input: str | None = None) -> proc.Result:
        return self.ssh.run(command, check=False, input=input)

    def ok(self, command: str, *, input: str | None = None) -> str:
        """What a command prints; the test fails where its status is not 0."""
        done = self.run(command, input=input)
        assert done.status == 0, f"{command}: status {done.status}\n{done.output}"
        return done.output

    @property
    def host(self) -> Host:
        """As testinfra sees it, over the same connection. Of its modules file (but for mode, owner and size, which ask
        stat), socket, sysctl, interface and mount_point hold on OpenWrt's busybox."""
        self.ssh.connect()
        return testinfra.get_host(self.ssh.testinfra)

    def wait(self, condition: Callable[[], T], what: str, patience: float = PATIENCE) -> T:
        """Asks until the answer counts as true."""
        end = timeouts.deadline(patience)
        while not (found := condition()):
            if time.monotonic() > end:
                tail = self.run("logread | tail -n 25").output
                raise AssertionError(f"not within {patience:.0f} s: {what}\n{tail}")
            time.sleep(0.1)
        return found

    def log(self, text: str = "") -> str:
        return self.run(f"logread -e {shlex.quote(text)}" if text else "logread").output

    def mode(self, path: str) -> str:
        """As ls has it: -rw-------. OpenWrt's busybox has no stat."""
        return self.ok(f"ls -ld {shlex.quote(path)}").split()[0][:10]

    def owner(self, path: str) -> str:
        """The uid: busybox cuts names to eight letters."""
        return self.ok(f"ls -ldn {shlex.quote(path)}").split()[2]

    def listening(self, port: int = 0) -> set[str]:
        """address:port of every TCP server, or of those with that port."""
        found = self.host.socket.get_listening_sockets()
        own = {name.removeprefix("tcp://") for name in found if name.startswith("tcp://")}
        return {name for name in own if not port or name.endswith(f":{port}")}

    def children(self, pid: int) -> list[int]:
        """The processes that this one started, oldest first."""
        text = self.run(f"cat /proc/{pid}/task/{pid}/children 2>/dev/null").output
        return sorted(map(int, text.split()))

    def put(self, path: str, text: str, mode: str = "644") -> None:
        self.ok(f"umask 077; cat >{path} && chmod {mode} {path}", input=text)

    # ---- the package -----------------------------------------------------------------------------------------------

    def install(self, *files: Path) -> None:
        """As an owner does: copied to /tmp, then opkg."""
        self.ssh.put(files)
        names = " ".join(f"/tmp/{file.name}" for file in files)
        self.ok(f"opkg install {names} && rm -f {names}")

    def set_up(self, provider: Provider, *, wait: bool = True, **options: str) -> None:
        """A provider by uci, as in the README: STARTTLS and a login. `options` are the smarthost's, or main's if they
        begin with main_. Then waits for the relay, the Python one."""
        self.ok("mkdir -p /etc/mailrelay")
        self.put(as_provider.CA_FILE, provider.certificates.authority.decode())
        self.name_provider()
        values = as_provider.settings(provider, self.reach(provider.starttls_port))
        for name, value in options.items():
            section, option = ("main", name[5:]) if name.startswith("main_") else ("provider", name)
            values[f"{section}.{option}"] = value
        self.ok("uci batch", input="\n".join([*as_provider.commands(values), "commit mailrelay", ""]))
        changed = self.run("cmp -s /etc/config/mailrelay /var/run/mailrelay/config").status != 0
        before = self.instance().get("pid", 0) if changed else 0
        self.ok("service mailrelay reload")
        if wait:
            self.wait_relay(other_than=before)

    def name_provider(self) -> None:
        line = f"{self.provider_address} {as_provider.NAME}"
        self.ok(f"grep -qx '{line}' /etc/hosts || echo '{line}' >>/etc/hosts")

    def status(self) -> dict[str, Any]:
        """The relay's own account of itself; {} without any."""
        return self._state()[0]

    def instance(self) -> dict[str, Any]:
        """procd's one instance of ours; {} without any."""
        return self._state()[1]

    def _state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Both with one question, as an emulated CPU is slow to answer."""
        text = self.ok(f"""cat {STATUS} 2>/dev/null; echo; echo --; ubus call service list '{{"name":"mailrelay"}}'""")
        told, _, listed = text.partition("\n--\n")
        status = {}
        with contextlib.suppress(ValueError):  # there is none, or it is just being written
            status = json.loads(told)
        return status, dict(json.loads(listed).get("mailrelay", {}).get("instances", {}).get("relay", {}))

    def wait_relay(self, *, other_than: int = 0) -> dict[str, Any]:
        """Until the instance that procd has says that it listens on the LAN; not the one with that pid."""

        def up() -> dict[str, Any]:
            status, instance = self._state()
            ours = bool(status) and status["pid"] == instance.get("pid") and status["pid"] != other_than
            # Where it shall not listen is a test's question.
            on_lan = any(one.startswith((f"{self.lan_ip}:", "0.0.0.0:")) for one in status.get("listening", []))
            return status if ours and on_lan else {}

        return self.wait(up, f"the relay listens on {self.lan_ip}")

    @functools.cached_property
    def lan_ip(self) -> str:
        return self.ok(". /lib/functions/network.sh; network_get_ipaddr ip lan; echo $ip").strip()

    def queue(self) -> list[str]:
        """The ids of the mails that wait."""
        return self.run(f"ls {SPOOL}/queue 2>/dev/null").output.split()

    def empty_queue(self) -> None:
        self.run("mailrelay delete --all >/dev/null 2>&1")

    @contextlib.contextmanager
    def smtp(self) -> Iterator[smtplib.SMTP]:
        """A client on the LAN."""
        host, port = self.smtp_address()
        with smtplib.SMTP(host, port, local_hostname="plc", timeout=30 * timeouts.factor()) as client:
            yield client

    def send(self, subject: str = "Pump 3 stopped", *, recipient: str = "owner@phone.example") -> None:
        """One mail from the LAN; it is the relay's when this returns."""
        with self.smtp() as client:
            client.sendmail("plc@plant.example", [recipient], f"Subject: {subject}\r\n\r\nTank level is 87 %.\r\n")


class LabRouter(Router):
    """A guest of ours: everything can be done to it."""

    provider_address = machines.HOST_FROM_WAN

    def __init__(self, guest: Guest) -> None:
        super().__init__()
        self.guest = guest
        self._moments: dict[str, Snapshot] = {}

    @property
    def ssh(self) -> Ssh:
        return self.guest.ssh

    def smtp_address(self) -> tuple[str, int]:
        return self.guest.lan(25)

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


class RealRouter(Router):
    """A router on the network, by --host. Its LAN is where this machine is."""

    provider_address = "127.0.0.1"

    def __init__(self, address: str, folder: Path) -> None:
        super().__init__()
        found = re.fullmatch(
            r"(?:ssh://)?(?:(?P<user>[^@/]+)@)?(?P<host>[^@/:]+|\[[^]]+\])(?::(?P<port>\d+))?/?", address
        )
        if not found:
            raise pytest.UsageError(f"--host {address}: write ssh://root@192.168.1.1")
        self._ssh = Ssh(found["host"], int(found["port"] or 22), user=found["user"] or "root", folder=folder)
        self._tunnels: dict[int, subprocess.Popen[bytes]] = {}

    @property
    def ssh(self) -> Ssh:
        return self._ssh

    def smtp_address(self) -> tuple[str, int]:
        return self._ssh.host, 25

    def stranger_address(self) -> tuple[str, int]:
        pytest.skip("this machine is not on the router's WAN")

    def cut_power(self) -> None:
        pytest.skip("nobody is there to pull the router's plug")

    def reboot(self) -> None:
        self.run("(sleep 1; reboot) >/dev/null 2>&1 </dev/null &")
        self.close()
        end = timeouts.deadline(240)
        gone = False
        while time.monotonic() < end:
            there = self._ssh.banner(2.0)
            if gone and there:
                for port in list(self._tunnels):
                    self._open_tunnel(port)
                return
            gone = gone or not there
            time.sleep(0.5)
        raise AssertionError("the router did not come back within four minutes")

    def keep_moment(self, name: str) -> None:
        self._moments[name] = self.ok("cat /etc/config/mailrelay 2>/dev/null; true")

    def return_to(self, name: str) -> None:
        settings = self._moments[name]
        if not settings:
            pytest.skip("a router that has the package cannot be taken back to before")
        self.empty_queue()
        self.put("/etc/config/mailrelay", settings, "600")
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
        """Nothing of the tests stays on it. The package was not there before: conftest.py asks."""
        self.run("opkg remove mailrelay mailrelay-postfix; rm -rf /etc/config/mailrelay /etc/mailrelay")
        self.run(f"sed -i '/ {re.escape(as_provider.NAME)}$/d' /etc/hosts")

    def close(self) -> None:
        for process in self._tunnels.values():
            process.terminate()
            process.wait()
        self._ssh.close()


def greeting(address: tuple[str, int], patience: float = 5.0) -> str:
    """The first line that a server says, or "" where there is none, it says nothing, or the connection is refused."""
    try:
        with socket.create_connection(address, timeout=patience) as client, client.makefile("rb") as lines:
            return lines.readline().decode(errors="replace").strip()
    except OSError:
        return ""
