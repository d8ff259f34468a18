"""A router in a container: a file system of its own with busybox' shell, the stand-in's parts of OpenWrt and our files,
in its own mount, process and network namespaces, so that every path and port is as on a router.

What it cannot show: other users' rights on sockets, real nftables, flash.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from forge.core import timeouts
from forge.host.namespaces import apart, enter
from forge.lab import firmware, targets
from tests.support.router import PATIENCE, STATUS, Result, Router, as_instance, as_status
from tests.support.tunnel import Tunnel

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "package" / "mailrelay"
STANDIN = firmware.STANDIN
ADDRESSES = "/var/run/mailrelay/addresses"
_CLONE_NEWNET = 0x40000000

LAN = {
    "interface": "lan",
    "up": True,
    "l3_device": "br-lan",
    "device": "br-lan",
    "ipv4-address": [{"address": "192.168.1.1", "mask": 24}],
    "ipv6-address": [],
    "ipv6-prefix-assignment": [
        {"address": "fd00:1:2::", "mask": 60, "local-address": {"address": "fd00:1:2::1", "mask": 60}}
    ],
    "route": [],
}
WAN = {
    "interface": "wan",
    "up": True,
    "l3_device": "eth1",
    "device": "eth1",
    "ipv4-address": [{"address": "203.0.113.7", "mask": 24}],
    "route": [{"target": "0.0.0.0", "mask": 0, "nexthop": "203.0.113.1"}],
}
FIREWALL = """config zone
	option name 'lan'
	list network 'lan'
	option input 'REJECT'

config zone
	option name 'wan'
	list network 'wan'
	list network 'wan6'
"""
# What of the stand-in is for a booted guest alone.
GUESTS_OWN = {
    *("etc/config", "etc/hotplug.d", "etc/rc.d", "etc/passwd", "etc/group", "etc/shadow", "etc/resolv.conf"),
    *("etc/init.d/boot", "etc/init.d/dropbear", "etc/init.d/firewall", "etc/init.d/network"),
}


def _open_to_all(python: Path) -> bool:
    """Whether the user that the relay becomes can run this Python."""
    return all(place.exists() and place.stat().st_mode & 0o001 for place in (python, *python.parents))


class Container(Router):
    """`with Container() as router`. Its files are under `root`; its package manager is that of the release."""

    provider_address = served_ip = "127.0.0.1"

    def __init__(self, release: str = targets.RELEASE) -> None:
        self.release = release
        self.root = Path(tempfile.mkdtemp(prefix="mailrelay-router-"))
        self.root.chmod(0o755)
        self.process: subprocess.Popen[bytes] | None = None
        self._asked = 0
        self._tunnels: dict[tuple[str, int], Tunnel] = {}
        own, systems = Path(os.path.realpath(sys.executable)), Path(os.path.realpath("/usr/bin/python3"))
        self._python = systems if not _open_to_all(own) and _open_to_all(systems) else own

    def __enter__(self) -> Container:
        self._furnish()
        self._boot()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            print(self.log(), self.procd_log(), sep="\n")
        self.halt()
        for tunnel in self._tunnels.values():
            tunnel.close()
        shutil.rmtree(self.root, ignore_errors=True)

    # What it is made of.

    def _furnish(self) -> None:
        root = self.root
        for name in (
            "bin", "dev", "etc/config", "etc/init.d", "etc/rc.d", "etc/uci-defaults", "host", "lib/apk/packages",
            "lib/functions", "lib/upgrade/keep.d", "mnt", "proc", "sbin", "tmp", "usr/bin", "usr/sbin",
            "var/lock", "var/run",
        ):  # fmt: skip
            (root / name).mkdir(parents=True)
        (root / "tmp").chmod(0o1777)
        for name in ("null", "zero", "random", "urandom"):
            (root / "dev" / name).touch()
        busybox = Path(shutil.which("busybox") or "busybox")
        shutil.copy(busybox, root / "bin" / "busybox")
        for applet in subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split():
            if applet != "busybox":
                (root / "bin" / applet).symlink_to("busybox")
        (root / "usr/bin/flock").symlink_to("/host/usr/bin/flock")  # Debian's busybox has none, OpenWrt's has
        for library in (*Path("/lib").glob("*-linux-gnu*"), *Path("/lib").glob("ld-*")):
            (root / "lib" / library.name).symlink_to(f"/host/lib/{library.name}")
        if Path("/lib64").exists():
            (root / "lib64").symlink_to("/host/lib64")
        self._lay_standin()
        self.put("usr/bin/python3", f"#!/bin/sh\nexec '/host{self._python}' \"$@\"\n", 0o755)
        owner = 587 if _open_to_all(self._python) else 0
        self.put("/etc/passwd", f"root:x:0:0:root:/root:/bin/ash\nmailrelay:x:{owner}:{owner}::/var/run:/bin/false\n")
        self.put("/etc/group", f"root:x:0:\nmailrelay:x:{owner}:\n")
        self.put("/etc/config/firewall", FIREWALL)
        self.put("/etc/config/rpcd", (STANDIN / "etc/config/rpcd").read_text())
        self.put("/etc/config/network", "config interface 'lan'\n\nconfig interface 'wan'\n")
        self.put("/etc/config/system", "config system\n\toption hostname 'plant7'\n\toption log_file '/tmp/log'\n")
        self.put("/etc/config/dhcp", "config dnsmasq\n\toption domain 'works.example'\n")
        self.put("/var/run/fw4.state", "")
        self.network(LAN, WAN)

    def _lay_standin(self) -> None:
        for layer in firmware.layers(self.release):

            def left_out(folder: str, names: list[str], layer: Path = layer) -> list[str]:
                places = {name: str(Path(folder, name).relative_to(layer)) for name in names}
                return [name for name, place in places.items() if name == "__pycache__" or place in GUESTS_OWN]

            shutil.copytree(layer, self.root, symlinks=True, ignore=left_out, dirs_exist_ok=True)
        for place, path in firmware.shared(self.release):
            (self.root / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, self.root / place)

    def put(self, path: str, text: str, mode: int = 0o644) -> None:
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        place.chmod(mode)

    def read(self, path: str) -> str:
        return (self.root / path.lstrip("/")).read_text(errors="replace")

    def upload(self, files: Iterable[Path]) -> None:
        for file in files:
            shutil.copy(file, self.root / "tmp")

    def network(self, *interfaces: dict[str, Any]) -> None:
        """What netifd knows of from now on."""
        self.put("/tmp/network.json", json.dumps(interfaces))

    def event(self, kind: str, **data: str) -> None:
        """As netifd and block-mount send it."""
        self.ask("event", {"type": kind, "data": data})

    # Its life.

    def _boot(self) -> None:
        script = (
            'mount --rbind / "$0/host" && mount -t proc proc "$0/proc" && '
            'for name in null zero random urandom; do mount --bind "/dev/$name" "$0/dev/$name" || exit; done; '
            '"$0/bin/busybox" ip link set lo up && exec chroot "$0" /sbin/procd'
        )
        self.process = subprocess.Popen(
            [*apart("--net", "--pid", "--fork", "--kill-child"), "sh", "-c", script, str(self.root)],
            stdin=subprocess.DEVNULL,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "STANDIN_HASTE": "20", "STANDIN_TRACE": "/tmp"},
        )  # fmt: skip
        listening, process = self.root / "var/run/ubus/door", self.process
        self.wait(lambda: listening.exists() or process.poll() is not None, "procd's stand-in listens")
        assert process.poll() is None, "the router did not boot"

    def halt(self) -> None:
        """As when the power goes."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def reboot(self) -> None:
        """With what is in memory gone, and the enabled services started."""
        self.halt()
        shutil.rmtree(self.root / "var/run")
        (self.root / "var/run").mkdir()
        self.put("/var/run/fw4.state", "")
        self._boot()
        for link in sorted((self.root / "etc/rc.d").glob("S*")):
            self.ok(f"/etc/rc.d/{link.name}", "boot")

    @property
    def pid(self) -> int:
        """Of procd's stand-in, the namespaces' first process."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0])

    def run(self, *words: str, input: str = "") -> Result:
        done = subprocess.run(
            [*enter(self.pid, "--net", "--pid", "--wd"), *(words if len(words) > 1 else ("sh", "-c", *words))],
            input=input,
            capture_output=True,
            text=True,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            timeout=120 * timeouts.factor(),
            errors="replace",
        )
        return Result(done.returncode, done.stdout, done.stderr)

    # Its network.

    def inside(self, action: Callable[[], T]) -> T:
        """In its network: a thread enters a namespace, and a socket stays in the one it was made in."""
        with ThreadPoolExecutor(1, initializer=self._enter_network) as thread:
            return thread.submit(action).result()

    def _enter_network(self) -> None:
        with Path(f"/proc/{self.pid}/ns/net").open() as namespace:
            if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def connect(self, port: int, timeout: float = 30.0, *, ip: str = "", source: str = "") -> socket.socket:
        return self.inside(lambda: socket.create_connection((ip or "127.0.0.1", port), timeout, (source, 0)))

    def lan(self, port: int) -> tuple[str, int]:
        if ("lan", port) not in self._tunnels:
            server = socket.create_server(("127.0.0.1", 0))
            self._tunnels["lan", port] = Tunnel(server, lambda: self.connect(port))
        return self._tunnels["lan", port].address

    def reach(self, port: int) -> int:
        if ("wan", port) not in self._tunnels:
            server = self.inside(lambda: socket.create_server(("127.0.0.1", port)))
            self._tunnels["wan", port] = Tunnel(server, lambda: socket.create_connection(("127.0.0.1", port)))
        return port

    # What a test asks.

    def ask(self, method: str, message: dict[str, Any]) -> Any:
        """procd's stand-in, without the detour through a shell."""
        return json.loads(self._ask("ubus", "call", "service", method, json.dumps(message)) or "null")

    def _ask(self, *words: str) -> str:
        """As the stand-in's usr/lib/standin/ask does it."""
        self._asked += 1
        box = self.root / "var/run/ubus"
        (box / f"host-{self._asked}.ask").write_bytes(
            b"\0".join(os.fsencode(word) for word in (str(len(words)), *words, ""))
        )
        os.mkfifo(box / f"host-{self._asked}.answer")
        answer = os.open(box / f"host-{self._asked}.answer", os.O_RDONLY | os.O_NONBLOCK)
        try:
            with (box / "door").open("w") as door:
                door.write(f"host-{self._asked}\n")
            text = b""
            while select.select([answer], [], [], PATIENCE * timeouts.factor())[0]:
                if not (piece := os.read(answer, 65536)):
                    break
                text += piece
        finally:
            os.close(answer)
        status, _, rest = text.decode(errors="replace").partition("\n")
        assert status.startswith("0 "), (words, text)
        return rest

    def log(self, text: str = "") -> str:
        """What the system's log and the standard error of services say."""
        if self.process is not None:
            self._ask("logread")  # it has written down by then what was said before
        path = self.root / "tmp/log"
        return "".join(line for line in path.open(errors="replace") if text in line) if path.exists() else ""

    def procd_log(self) -> str:
        path = self.root / "tmp/procd.log"
        return path.read_text() if path.exists() else ""

    def starts(self) -> int:
        """How often procd started an instance."""
        return self.procd_log().count("start mailrelay::")

    def _state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        try:
            told = self.read(STATUS)
        except FileNotFoundError:
            told = ""
        return as_status(told), as_instance(self.ask("list", {"name": "mailrelay"}))

    def is_leaving(self, pid: int) -> bool:
        return f"terminate mailrelay::relay {pid}\n" in self.procd_log()

    def given(self, option: str) -> list[str]:
        """The values of that option which the init script hands the relay."""
        try:
            lines = self.read(ADDRESSES).splitlines()
        except FileNotFoundError:
            return []
        return [value for name, _, value in (line.partition(" ") for line in lines) if name == option]

    def rules(self) -> list[dict[str, str]]:
        found = self.ask("get_data", {"type": "firewall"})
        return [rule for instance in found.get("mailrelay", {}).values() for rule in instance["firewall"]]

    def wait(self, condition: Callable[[], T], what: str, patience: float = PATIENCE, pause: float = 0.02) -> T:
        return super().wait(condition, what, patience, pause)

    def enabled_router(self) -> None:
        """The package's files, good settings, and the relay running on the LAN's address."""
        self.lay_out()
        self.configure()
        self.ok("ip", "addr", "add", "192.168.1.1/24", "dev", "lo")
        self.ok("/etc/init.d/mailrelay", "enable")
        self.ok("/etc/init.d/mailrelay", "start")
        self.wait_relay("192.168.1.1:25")

    def lay_out(self) -> None:
        """Put the files of the package mailrelay in place."""
        for source, place, left_out in (("root", "", "postfix*"), ("src", "usr/lib/mailrelay/relay", "__pycache__")):
            ignored = shutil.ignore_patterns(left_out)
            shutil.copytree(PACKAGE / source, self.root / place, ignore=ignored, dirs_exist_ok=True)
        self.put("/usr/lib/mailrelay/version", "1.0.0-r1\n")
