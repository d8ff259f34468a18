"""A router whose engine is Postfix: the container of the other tests, with Debian's Postfix in place of OpenWrt's.

It is booted once for many tests; `fresh()` brings it back to the state after installation.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
from typing import Any

from forge.host import host
from tests.package.postfix_sending import PACKAGE
from tests.support.router import SETTINGS, Result, Smtp
from tests.support.router_container import Container

INIT = "/etc/init.d/mailrelay"
FOLDER = "/var/run/mailrelay/postfix"
NAMES = ("postfix", "lib")  # of the packages that are unpacked: itself, and all the libraries that the machine lacks
OF_PYTHON = ("python.sh", "sendmail", "event", "mailrelay.json")
OWNERS_MAIN_CF = """\
# The owner's own settings: mailrelay leaves them as they are.
myhostname = owners.example
inet_interfaces = all
mynetworks_style = subnet
queue_directory = /usr/var/spool/postfix
"""
PEOPLE = {"root": 0, "postfix": 25, "mailrelay": 587, "nobody": 65534}
GROUPS = {"root": 0, "postfix": 25, "postdrop": 26, "mailrelay": 587, "nogroup": 65534}
# Where the LAN's machines and somebody else are in these tests.
ADDRESSES = ("192.168.1.1/24", "fd00:1:2::1/60", "198.51.100.9/32")
STRANGER = "198.51.100.9"


class PostfixRouter(Container):
    """`with PostfixRouter() as router`."""

    def _furnish(self) -> None:
        super()._furnish()
        for deb in host.postfix_debs():
            if deb.name.startswith(NAMES):
                subprocess.run(["dpkg-deb", "-x", str(deb), str(self.root)], check=True)
        self.put("/etc/passwd", "".join(f"{name}:x:{uid}:{uid}::/:/bin/false\n" for name, uid in PEOPLE.items()))
        self.put("/etc/group", "".join(f"{name}:x:{gid}:\n" for name, gid in GROUPS.items()))
        self.put("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n")
        self.put("/etc/resolv.conf", "")
        self.put("/etc/postfix/master.cf", "")
        self.put("/etc/ssl/certs/ca-certificates.crt", "")
        maildrop = self.root / "usr/var/spool/postfix/maildrop"
        maildrop.mkdir(parents=True)
        shutil.chown(maildrop, 25, 26)
        maildrop.chmod(0o730)
        for file in PACKAGE.rglob("*"):
            if file.is_file() and file.name not in OF_PYTHON:
                place = self.root / file.relative_to(PACKAGE)
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, place)
        self.put("/usr/lib/mailrelay/version", "1.0.0-r1\n")

    def _boot(self) -> None:
        super()._boot()
        for address in ADDRESSES:
            self.ok("ip", "addr", "add", address, "dev", "lo")
        self._said = 0

    def fresh(self) -> None:
        """No settings, no queue, no log."""
        self.stop()
        for name in ("etc/mailrelay", "var/run/mailrelay"):
            shutil.rmtree(self.root / name, ignore_errors=True)
        for leftover in (self.root / "usr/var/spool/postfix/maildrop").iterdir():
            leftover.unlink()
        self.run("mv /usr/sbin/postconf.real /usr/sbin/postconf")
        self.put("/etc/postfix/main.cf", OWNERS_MAIN_CF)
        self.put("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n")
        self.put("/etc/config/fstab", "")
        self._said = len(super().log())

    def log(self, text: str = "") -> str:
        """What was said since `fresh`."""
        return "".join(line for line in super().log()[self._said :].splitlines(keepends=True) if text in line)

    def write(self, settings: str) -> None:
        self.put(SETTINGS, settings, 0o600)

    def start(self, settings: str = "", *, listening: str = "127.0.0.1") -> None:
        """By the init script, with these settings or those that are there; returns when it listens there."""
        if settings:
            self.write(settings)
        self.ok(INIT, "start")
        self.wait(lambda: self.listens(listening), f"Postfix listens on {listening}")

    def stop(self) -> None:
        pid = self.instance().get("pid", 0)
        self.ok(INIT, "stop")
        self.wait(lambda: not pid or self.run("kill", "-0", str(pid)).status, "the instance has ended")

    def listens(self, address: str) -> bool:
        with contextlib.suppress(OSError):
            self.connect(25, ip=address).close()
            return True
        return False

    def client(self, source: str = "127.0.0.1", to: str = "127.0.0.1") -> Smtp:
        return Smtp(self, ip=to, source=source)

    def mail(self, text: bytes = b"Subject: pump\r\n\r\nis dry\r\n", to: str = "owner@example.net") -> None:
        with self.client() as session:
            session.sendmail("plc@cabinet", [to], text)

    def engine(self, script: str) -> Result:
        """A line of shell with the engine's functions at hand."""
        return self.run(f". /lib/functions.sh; . /usr/lib/mailrelay/common.sh; load_engine; load_spool; {script}")

    def check(self) -> tuple[int, list[str]]:
        done = self.engine(f"engine_check {SETTINGS}")
        return done.status, done.output.splitlines()

    def wrap_postconf(self, filter: str) -> None:
        """Until `fresh`, let what postconf prints go through a filter."""
        self.ok("mv /usr/sbin/postconf /usr/sbin/postconf.real")
        self.put("/usr/sbin/postconf", f'#!/bin/sh\n/usr/sbin/postconf.real "$@" | {filter}\n', 0o755)

    def main_cf(self) -> str:
        return self.read(f"{FOLDER}/main.cf")

    def postconf(self, *names: str) -> list[str]:
        """Parameters as Postfix itself reads them from our main.cf."""
        return self.ok("postconf", "-c", FOLDER, "-h", "-x", *names).splitlines()

    def waiting(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.ok("postqueue", "-c", FOLDER, "-j").splitlines()]

    def wait_for_log(self, pattern: str, patience: float = 20.0) -> re.Match[str]:
        found = self.wait(lambda: re.search(pattern, self.log()), f"{pattern!r} is in the log", patience)
        assert found
        return found
