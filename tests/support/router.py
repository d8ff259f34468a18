"""What tests ask of a router, apart from what it is: a container on this machine (router_container.py), a guest in QEMU
or a router on the network (router_ssh.py).

A test that takes a `Router` does not know which. What only some of them can do (power cuts, a stranger on the WAN, a
moment brought back) has a method here, which skips the test with the reason where it can't be had.
"""

from __future__ import annotations

import contextlib
import functools
import json
import shlex
import smtplib
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytest

from forge.core import timeouts
from forge.servers import as_provider
from forge.servers.postfix import Provider
from forge.vm import package_manager
from forge.vm.package_manager import PackageManager
from tests.support import waiting

T = TypeVar("T")
PATIENCE = 40.0  # seconds, times the machine's pace, until what should happen soon counts as not happening
SETTINGS = "/etc/config/mailrelay"
SPOOL = "/etc/mailrelay/spool"
STATUS = "/var/run/mailrelay/status.json"
PROVIDER = """
config smarthost 'provider'
	option host '10.9.9.9'
	option tls 'none'
	option auth 'none'
	option timeout '1'
"""


class Result(NamedTuple):
    """What came of a command. A router that is reached by SSH has its standard error in the output."""

    status: int
    output: str
    errors: str = ""


class Smtp(smtplib.SMTP):
    """A client on the router's LAN; `which` are the addresses of Router.connect."""

    def __init__(self, router: Router, **which: str) -> None:
        self._connect = functools.partial(router.connect, **which)
        super().__init__("router", 25, local_hostname="plc", timeout=30 * timeouts.factor())

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        return self._connect(port, timeout)


class Router(ABC):
    """Commands as root, mail from its LAN side, and the settings of the package under test."""

    provider_address: str  # where the router reaches a server on this machine's loopback

    # ---- what the kinds differ in ----------------------------------------------------------------------------------

    @abstractmethod
    def run(self, *words: str, input: str = "") -> Result:
        """Run a program with its arguments, or, if it is one word, a line of its shell."""

    @abstractmethod
    def upload(self, files: Iterable[Path]) -> None:
        """Copy them to /tmp."""

    @abstractmethod
    def lan(self, port: int) -> tuple[str, int]:
        """The address at which this machine reaches a port of the router as one on its LAN does."""

    @abstractmethod
    def reach(self, port: int) -> int:
        """The port under which the router finds this machine's loopback port at `provider_address`."""

    def stranger_address(self) -> tuple[str, int]:
        """Port 25 as somebody on the WAN reaches it."""
        pytest.skip("this machine is not on the router's WAN")

    def cut_power(self) -> None:
        """Switch it off and on again, with nothing written back; return when it is up."""
        pytest.skip("nobody is there to pull the router's plug")

    @abstractmethod
    def reboot(self) -> None: ...

    # ---- commands and files ----------------------------------------------------------------------------------------

    def ok(self, *words: str, input: str = "") -> str:
        """What a command prints; the test fails where its status is not 0."""
        done = self.run(*words, input=input)
        assert done.status == 0, (words, *done)
        return done.output

    def read(self, path: str) -> str:
        return self.ok("cat", path)

    def put(self, path: str, text: str, mode: int = 0o644) -> None:
        place = shlex.quote(path)
        self.ok(f"mkdir -p $(dirname {place}); umask 077; cat >{place} && chmod {mode:o} {place}", input=text)

    def mode(self, path: str) -> str:
        """As ls has it: -rw-------. OpenWrt's busybox has no stat."""
        return self.ok("ls", "-ld", path).split()[0][:10]

    def owner(self, path: str) -> str:
        """The uid: busybox cuts names to eight letters."""
        return self.ok("ls", "-ldn", path).split()[2]

    def wait(self, condition: Callable[[], T], what: str, patience: float = PATIENCE, pause: float = 0.1) -> T:
        """Ask until the answer counts as true."""
        return waiting.wait(condition, lambda: "\n".join([what, *self.log().splitlines()[-25:]]), patience, pause)

    def log(self, text: str = "") -> str:
        return self.run("logread", *(("-e", text) if text else ())).output

    def children(self, pid: int) -> list[int]:
        """The processes that this one started, oldest first."""
        text = self.run(f"cat /proc/{pid}/task/{pid}/children 2>/dev/null").output
        return sorted(map(int, text.split()))

    # ---- the package -----------------------------------------------------------------------------------------------

    @functools.cached_property
    def packages(self) -> PackageManager:
        """opkg or apk, whichever it has."""
        return package_manager.of(self.run)

    def install(self, *files: Path) -> None:
        """As an owner does: copied to /tmp, then installed, or upgraded to."""
        self.upload(files)
        names = [f"/tmp/{file.name}" for file in files]
        try:
            self.ok(self.packages.install(*names))
        finally:
            self.run("rm", "-f", *names)

    def fetch(self, *names: str) -> bool:
        """Install packages from the router's feeds; whether they are there now."""
        return self.run(self.packages.fetch(*names)).status == 0

    def remove(self, *names: str) -> None:
        self.ok(self.packages.remove(*names))

    def configure(self, main: str = "", rest: str = PROVIDER, enabled: str = "1") -> None:
        """Write the settings: further lines of the section main, and the sections after it. Nothing is reloaded."""
        lines = "".join(f"\t{line.strip()}\n" for line in main.strip().splitlines())
        head = f"config mailrelay 'main'\n\toption enabled '{enabled}'\n\tlist network 'lan'\n"
        self.put(SETTINGS, f"{head}\toption hostname 'relay.example.net'\n{lines}{rest}", 0o600)

    def set_up(self, provider: Provider, *, wait: bool = True, **options: str) -> None:
        """A provider by uci, as in the README: STARTTLS and a login. `options` are the smarthost's, or main's if they
        begin with main_. Then waits for the relay, the Python one."""
        self.know_provider(provider)
        values = as_provider.settings(provider, self.reach(provider.starttls_port))
        for name, value in options.items():
            section, option = ("main", name[5:]) if name.startswith("main_") else ("provider", name)
            values[f"{section}.{option}"] = value
        self.ok("uci batch", input="\n".join([*as_provider.commands(values), "commit mailrelay", ""]))
        self.reload(wait=wait)

    def reload(self, *, wait: bool = True) -> None:
        """Have the service take up the settings; wait for the relay that runs by them."""
        changed = self.run(f"cmp -s {SETTINGS} /var/run/mailrelay/config").status != 0
        before = self.status().get("loaded", 0.0) if changed else 0.0
        self.ok("service mailrelay reload")
        if wait:
            self.wait_relay(loaded_before=before)

    def know_provider(self, provider: Provider) -> None:
        """Have the router find the provider by its name, and hold the authority that vouches for it."""
        self.put(as_provider.CA_FILE, provider.certificates.authority.decode())
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
        return as_status(told), as_instance(json.loads(listed))

    def wait_relay(self, listening: str = "", *, other_than: int = 0, loaded_before: float = 0.0) -> dict[str, Any]:
        """Until the instance that procd has says that it listens there: by default on any port of `served_ip`. Where it
        shall not listen is a test's question. Not the one with that pid; not by settings loaded at that time."""
        places = (listening,) if listening else (f"{self.served_ip}:", "0.0.0.0:")

        def up() -> dict[str, Any]:
            status, instance = self._state()
            ours = bool(status) and status["pid"] == instance.get("pid") and status["pid"] != other_than
            ours = ours and status.get("loaded") != loaded_before
            there = any(address.startswith(places) for address in status.get("listening", []))
            return status if ours and there and not self.is_leaving(status["pid"]) else {}

        return self.wait(up, f"the relay listens on {' or '.join(places)}")

    def is_leaving(self, pid: int) -> bool:
        """Whether procd is known to have told it to end."""
        return False

    @functools.cached_property
    def lan_ip(self) -> str:
        return self.ok(". /lib/functions/network.sh; network_get_ipaddr ip lan; echo $ip").strip()

    @property
    def served_ip(self) -> str:
        """An address on which the relay listens."""
        return self.lan_ip

    def queue(self) -> list[str]:
        """The ids of the mails that wait."""
        return sorted(self.run(f"ls {SPOOL}/queue 2>/dev/null").output.split())

    def empty_queue(self) -> None:
        self.run("mailrelay delete --all >/dev/null 2>&1")

    def connect(self, port: int, timeout: float = 30.0, *, ip: str = "", source: str = "") -> socket.socket:
        """A connection from its LAN; to a container by any of its addresses, and from any of them."""
        assert not (ip or source), "only a container is reached so"
        return socket.create_connection(self.lan(port), timeout)

    def send(self, subject: str = "Pump 3 stopped", *, recipient: str = "owner@phone.example", ip: str = "") -> str:
        """One mail from the LAN; it is the relay's when this returns. The last reply."""
        reply = self.try_to_send(subject, recipient=recipient, ip=ip)
        assert reply.startswith("250 "), reply
        return reply

    def try_to_send(
        self, subject: str = "Pump 3 stopped", *, recipient: str = "owner@phone.example", ip: str = ""
    ) -> str:
        """The same; the reply that ended it, or why there is none."""
        try:
            with Smtp(self, ip=ip) as client:
                client.ehlo()
                reply = client.mail("plc@plant.example")
                if reply[0] == 250:
                    reply = client.rcpt(recipient)
                if reply[0] == 250:
                    reply = client.data(f"Subject: {subject}\r\n\r\nTank level is 87 %.\r\n")
                return f"{reply[0]} {reply[1].decode()}"
        except smtplib.SMTPResponseException as error:
            return f"{error.smtp_code} {error.smtp_error!r}"
        except OSError as error:  # smtplib's other errors, too
            return str(error)


def as_status(text: str) -> dict[str, Any]:
    """The status file's content; {} if there is none, or it is just being written."""
    with contextlib.suppress(ValueError):
        return dict(json.loads(text))
    return {}


def as_instance(listed: Any) -> dict[str, Any]:
    """Of what `ubus call service list` says: the one instance."""
    return dict(next(iter((listed or {}).get("mailrelay", {}).get("instances", {}).values()), {}))
