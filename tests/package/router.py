"""A router for tests: a file system of its own with busybox' shell, the stand-in's parts of OpenWrt and our files, in
its own mount, process and network namespaces, so that every path and port is as on a router.

What it cannot show: other users' rights on sockets, real nftables, flash.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any

from forge.core import timeouts
from forge.host.namespaces import apart, enter

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "package" / "mailrelay"
STANDIN = ROOT / "forge" / "lab" / "standin"
PATIENCE = 40.0  # seconds until something that should happen soon counts as not happening

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
PROVIDER = """
config smarthost 'provider'
	option host '10.9.9.9'
	option tls 'none'
	option auth 'none'
	option timeout '1'
"""
_CLIENT = r"""
import smtplib, sys
try:
    with smtplib.SMTP(sys.argv[1], 25, timeout=20) as smtp:
        smtp.ehlo("plc")
        print(*smtp.mail("plc@example.net"), flush=True)
        if smtp.rcpt(sys.argv[2])[0] == 250:
            print(*smtp.data(b"Subject: Alarm\r\n\r\npump 3\r\n"))
except smtplib.SMTPResponseException as error:
    print(error.smtp_code, error.smtp_error)
except OSError as error:
    print(error)
"""
# What of the stand-in is for a booted guest alone.
GUESTS_OWN = (
    "etc/config",
    "etc/init.d",
    "etc/passwd",
    "etc/group",
    "etc/shadow",
    "etc/resolv.conf",
    "etc/hotplug.d",
    "etc/rc.d",
)


def _open_to_all(python: Path) -> bool:
    """Whether the user that the relay becomes can run this Python."""
    return all(place.exists() and place.stat().st_mode & 0o001 for place in (python, *python.parents))


class Router:
    """`with Router() as router`. Commands run by `sh`; files of the router are under `root`."""

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="mailrelay-router-"))
        self.root.chmod(0o755)
        self.process: subprocess.Popen[bytes] | None = None
        self._asked = 0
        own, systems = Path(os.path.realpath(sys.executable)), Path(os.path.realpath("/usr/bin/python3"))
        self._python = systems if not _open_to_all(own) and _open_to_all(systems) else own

    def __enter__(self) -> Router:
        self._furnish()
        self._boot()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            print(self.log(), self.procd_log(), sep="\n")
        self.halt()
        shutil.rmtree(self.root, ignore_errors=True)

    # What it is made of.

    def _furnish(self) -> None:
        root = self.root
        for name in (
            "bin", "dev", "etc/config", "etc/init.d", "etc/rc.d", "etc/uci-defaults", "host", "lib/apk/packages",
            "lib/functions", "lib/upgrade/keep.d", "mnt", "proc", "sbin", "tmp", "usr/bin", "usr/lib/opkg/info",
            "usr/sbin", "var/lock", "var/run",
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
        self._program("usr/bin/python3", 'exec "$PYTHON" "$@"')
        owner = 587 if _open_to_all(self._python) else 0
        self.write("etc/passwd", f"root:x:0:0:root:/root:/bin/ash\nmailrelay:x:{owner}:{owner}::/var/run:/bin/false\n")
        self.write("etc/group", f"root:x:0:\nmailrelay:x:{owner}:\n")
        self.write("etc/config/firewall", FIREWALL)
        self.write("etc/config/network", "config interface 'lan'\n\nconfig interface 'wan'\n")
        self.write("etc/config/system", "config system\n\toption hostname 'plant7'\n\toption log_file '/tmp/log'\n")
        self.write("etc/config/dhcp", "config dnsmasq\n\toption domain 'works.example'\n")
        self.write("var/run/fw4.state", "")
        self.network(LAN, WAN)

    def _lay_standin(self) -> None:
        for file in STANDIN.rglob("*"):
            name = file.relative_to(STANDIN)
            if file.is_dir() or "__pycache__" in name.parts or str(name).startswith(GUESTS_OWN):
                continue
            place = self.root / name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, place, follow_symlinks=False)
        shutil.copy(PACKAGE / "src/mailrelay/config/uci.py", self.root / "usr/lib/standin/uci.py")

    def _program(self, name: str, command: str) -> None:
        self.write(name, f"#!/bin/sh\nPYTHON='/host{self._python}'\n{command}\n", 0o755)

    def write(self, name: str, text: str, mode: int = 0o644) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path

    def network(self, *interfaces: dict[str, Any]) -> None:
        """What netifd knows of from now on."""
        self.write("tmp/network.json", json.dumps(interfaces))

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
        self.write("var/run/fw4.state", "")
        self._boot()
        for link in sorted((self.root / "etc/rc.d").glob("S*")):
            self.ok(f"/etc/rc.d/{link.name}", "boot")

    @property
    def pid(self) -> int:
        """Of procd's stand-in, the namespaces' first process."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0])

    def run(self, *argv: str, stdin: str = "", env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        into = enter(self.pid, "--net", "--pid", "--wd")
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **(env or {})}
        return subprocess.run(
            [*into, *argv],
            input=stdin,
            capture_output=True,
            text=True,
            env=environment,
            timeout=120 * timeouts.factor(),
            errors="replace",
        )

    def ok(self, *argv: str, **options: Any) -> str:
        done = self.run(*argv, **options)
        assert done.returncode == 0, (argv, done.returncode, done.stdout, done.stderr)
        return done.stdout

    def sh(self, script: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return self.run("sh", "-c", script, **options)

    def python(self, script: str, *arguments: str) -> str:
        return self.ok("python3", "-I", "-c", script, *arguments)

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

    def log(self) -> str:
        """What the system's log and the standard error of services say."""
        if self.process is not None:
            self._ask("logread")  # it has written down by then what was said before
        path = self.root / "tmp/log"
        return path.read_text(errors="replace") if path.exists() else ""

    def procd_log(self) -> str:
        path = self.root / "tmp/procd.log"
        return path.read_text() if path.exists() else ""

    def starts(self) -> int:
        """How often procd started an instance."""
        return self.procd_log().count("start mailrelay::")

    def service(self) -> dict[str, Any]:
        """The one instance, {} without any."""
        found: dict[str, Any] = self.ask("list", {"name": "mailrelay"})
        instances = found.get("mailrelay", {}).get("instances", {})
        return dict(next(iter(instances.values()), {}))

    def given(self, option: str) -> list[str]:
        """The values of that option in the instance's command."""
        command = self.service().get("command", [])
        return [value for name, value in pairwise(command) if name == option]

    def rules(self) -> list[dict[str, str]]:
        found = self.ask("get_data", {"type": "firewall"})
        return [rule for instance in found.get("mailrelay", {}).values() for rule in instance["firewall"]]

    def relay_status(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads((self.root / "var/run/mailrelay/status.json").read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return found

    def wait_relay(self, listening: str = "127.0.0.1:25") -> dict[str, Any]:
        """Until the instance that procd has now, and has not told to end, says that it listens there."""

        def up() -> dict[str, Any]:
            status, pid = self.relay_status(), self.service().get("pid", 0)
            ours = status.get("pid") == pid and listening in status.get("listening", [])
            leaving = f"terminate mailrelay::relay {pid}\n" in self.procd_log()
            return status if ours and not leaving else {}

        return dict(self.wait(up, f"the relay listens on {listening}"))

    def smtp(self, host: str = "127.0.0.1", *, recipient: str = "owner@example.org") -> str:
        """Hand in one mail there, as a machine on the LAN would; the last reply."""
        return self.python(
            _CLIENT,
            host,
            recipient,
        ).splitlines()[-1]

    def queue(self) -> list[str]:
        return sorted(path.name for path in (self.root / "etc/mailrelay/spool/queue").glob("*"))

    def wait(self, condition: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
        deadline = timeouts.deadline(patience)
        while not (found := condition()):
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {patience:.0f} s: {what}")
            time.sleep(0.02)
        return found

    def configure(self, main: str = "", rest: str = PROVIDER, enabled: str = "1") -> None:
        lines = "".join(f"\t{line.strip()}\n" for line in main.strip().splitlines())
        head = f"config mailrelay 'main'\n\toption enabled '{enabled}'\n\tlist network 'lan'\n"
        self.write("etc/config/mailrelay", f"{head}\toption hostname 'relay.example.net'\n{lines}{rest}", 0o600)

    def enabled_router(self) -> None:
        """The package's files, good settings, and the relay running on the LAN's address."""
        self.lay_out()
        self.configure()
        self.ok("ip", "addr", "add", "192.168.1.1/24", "dev", "lo")
        self.ok("/etc/init.d/mailrelay", "enable")
        self.ok("/etc/init.d/mailrelay", "start")
        self.wait_relay("192.168.1.1:25")

    # Packages: the files as the Makefile lays them out, by hand of opkg or apk.

    def lay_out(self, version: str = "1.0.0-r1") -> list[str]:
        """The files of the package mailrelay, in place; their paths."""
        installed = []
        for file in sorted((PACKAGE / "root").rglob("*")):
            name = str(file.relative_to(PACKAGE / "root"))
            if file.is_dir() or Path(name).name.startswith("postfix"):
                continue
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, self.root / name)
            installed.append(f"/{name}")
        for file in sorted((PACKAGE / "src").rglob("*.py")):
            name = f"usr/lib/mailrelay/relay/{file.relative_to(PACKAGE / 'src')}"
            place = self.root / name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, place)
            installed.append(f"/{name}")
        self.write("usr/lib/mailrelay/version", f"{version}\n")
        return [*installed, "/usr/lib/mailrelay/version"]
