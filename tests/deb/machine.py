"""A Debian machine for the .deb: a bare tree, a network of its own with one interface, and the service as in its unit.

systemd does not run in a tree. `Service` starts what ExecStart names, with the rights, the read-only file system and
the folders that the unit's other lines give it; test_unit.py has systemd's own word on the unit.
"""

from __future__ import annotations

import re
import shlex
import shutil
import smtplib
import socket
import subprocess
from pathlib import Path

from forge.host.namespaces import apart
from tests.support.debian_tree import Tree
from tests.support.network import LOOPBACK, Network
from tests.support.waiting import wait

UNIT = "usr/lib/systemd/system/mailrelay.service"
LAN = "192.168.7"
NETWORK = f"""{LOOPBACK}
ip link add eth0 type veth peer name cable
ip address add {LAN}.1/24 dev eth0
ip address add 10.9.9.9/32 dev lo
ip link set eth0 up
ip link set cable up
"""


class Lan(Network):
    """A network with lo and eth0, and clients in it."""

    def __init__(self) -> None:
        super().__init__(NETWORK)

    def smtp(self, host: str = f"{LAN}.1", source: str = "") -> smtplib.SMTP:
        with self.within():
            return smtplib.SMTP(host, 25, timeout=20, source_address=(source, 0) if source else None)

    def greets(self, host: str = f"{LAN}.1") -> bool:
        try:
            with self.within(), socket.create_connection((host, 25), timeout=5) as client:
                return client.recv(3) == b"220"
        except OSError:
            return False


class Machine(Tree):
    """The tree, with ways to install packages into it."""

    def sh(self, script: str, *, check: bool = True) -> str:
        self.environment["DEBIAN_FRONTEND"] = "noninteractive"
        done = self.run("sh", "-c", script)
        assert not check or done.returncode == 0, done.stdout
        return done.stdout

    def bring(self, *files: Path) -> None:
        for file in files:
            shutil.copy(file, self.folder / "root" / file.name)

    def read(self, path: str) -> str:
        return (self.folder / path.lstrip("/")).read_text()

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        file = self.folder / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode)
        file.write_text(text)

    def left_of(self, name: str) -> list[str]:
        """Every path with that name in it, root's home left out."""
        lines = self.sh(f"find / -xdev -name '*{name}*' -not -path '/root/*' -not -path '/proc/*'").splitlines()
        return [line for line in lines if not line.startswith("/var/lib/dpkg/info/")]


class Service:
    """mailrelay.service, run by hand in the machine and the network, as long as the `with` block lasts."""

    def __init__(self, machine: Machine, network: Lan) -> None:
        self.machine = machine
        self.network = network
        self.unit = dict(re.findall(r"^(\w+)=(.*)$", machine.read(UNIT), re.MULTILINE))

    def __enter__(self) -> Service:
        folder = self.machine.folder
        for line in self.machine.read("/usr/lib/tmpfiles.d/mailrelay.conf").splitlines():
            _, path, mode, owner, group, _ = line.split()
            self.machine.sh(f"install -d -m {mode} -o {owner} -g {group} {path}")
        assert self.unit["ProtectSystem"] == "strict"
        script = f"mount --bind {folder} {folder}\nmount -o remount,bind,ro {folder}\n"
        for path in self.unit["ReadWritePaths"].split():
            script += f"mount --bind {folder}{path} {folder}{path}\nmount -o remount,bind,rw {folder}{path}\n"
        script += f"mount -t proc proc {folder}/proc\n"
        rights = ",".join(
            "+" + name.removeprefix("CAP_").lower() for name in self.unit["CapabilityBoundingSet"].split()
        )
        assert self.unit["ExecStart"].startswith("!")  # who User= is, the relay becomes itself
        limits = f"--bounding-set=-all,{rights} --inh-caps=-all --no-new-privs"
        script += f"exec chroot {folder} setpriv {limits} {self.unit['ExecStart'].removeprefix('!')} --log stderr\n"
        self.log = folder / "root" / "log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                ["nsenter", f"--net={self.network.path}", *apart("--pid", "--fork", "--kill-child")]
                + ["sh", "-euc", f"umask {self.unit['UMask']}\n{script}"],
                env=self.machine.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            wait(lambda: self.process.poll() is not None or self.network.greets(), "the relay greets")
            assert self.process.poll() is None, self.log.read_text()
        except BaseException:
            self.process.kill()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            print(self.log.read_text())
        self.process.kill()  # with all of its namespace
        self.process.wait()

    def reload(self) -> None:
        """What `systemctl reload` does."""
        command = self.unit["ExecReload"]
        assert command.startswith("!"), "the first process is root's"
        argv = ["chroot", str(self.machine.folder), *shlex.split(command.removeprefix("!"))]
        subprocess.run(argv, env={**self.machine.environment, "MAINPID": str(self.pids()[0])}, check=True)

    def pids(self) -> list[int]:
        """The relay's processes, supervisor first."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                inside = (folder / "root").samefile(self.machine.folder)
                words = (folder / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if inside and b"serve" in words:
                found.append(int(folder.name))
        return sorted(found)

    def sh(self, script: str, user: str = "root", *, check: bool = True) -> str:
        """A command on that machine and network, as whoever."""
        argv = ["nsenter", f"--net={self.network.path}", "chroot", f"--userspec={user}", "--groups="]
        argv += [str(self.machine.folder), "sh", "-c", script]
        done = subprocess.run(argv, env=self.machine.environment, capture_output=True, text=True, timeout=60)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr
