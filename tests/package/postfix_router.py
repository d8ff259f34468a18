"""A router for the Postfix engine's tests: a folder with busybox, Debian's Postfix and our package, entered by chroot.

Its processes live in a pid namespace that ends with the test; its network is this machine's loopback. The package's
files are the real ones. What OpenWrt brings (uci, procd, logger's /dev/log) is stood in for in as few lines as will do.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import socket
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from forge.core import paths, timeouts
from forge.host import host
from forge.host.namespaces import apart, enter
from tests.package.postfix_sending import export

ROOT = paths.ROOT / "package/mailrelay/root"
NAMES = ("postfix", "lib")  # of the packages that are unpacked: itself, and all the libraries that the machine lacks

UCI = """\
#!/bin/sh
# uci -c DIR export NAME: what the tests put down for a file of this content
file="$2/$4"
[ -e "$file" ] || { echo "uci: Entry not found" >&2; exit 1; }
sum="$(md5sum <"$file" | cut -d ' ' -f 1)"
[ -e "/exports/$sum" ] || { cat "/exports/$sum.error" >&2; exit 1; }
cat "/exports/$sum"
"""

# What engine_instance says to procd, an argument a line.
PROCD = """\
procd_set_param() { local name="$1"; shift; for word; do printf '%s\\t%s\\n' "$name" "$word"; done; }
"""

OWNERS_MAIN_CF = """\
# The owner's own settings: mailrelay leaves them as they are.
myhostname = owners.example
inet_interfaces = all
mynetworks_style = subnet
queue_directory = /usr/var/spool/postfix
"""


class Router:
    """Built once for all tests; `fresh()` brings it back to the state after installation."""

    def __init__(self) -> None:
        # On a disk, and with a short name: /dev/log is a socket, whose path has at most 107 bytes.
        self.root = Path(tempfile.mkdtemp(prefix="pf-", dir="/var/tmp"))
        self.master: subprocess.Popen[bytes] | None = None
        self._build()
        self._log_socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._log_socket.bind(str(self.root / "dev/log"))
        (self.root / "dev/log").chmod(0o666)
        self.lines: list[str] = []
        threading.Thread(target=self._collect, daemon=True).start()
        self._init = subprocess.Popen(
            # The folder becomes a mount point, so that df finds it.
            apart("--pid", "--fork", "--kill-child", f"--mount-proc={self.root}/proc")
            + ["sh", "-c", 'mount --rbind "$0" "$0" && exec cat', str(self.root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._init.stdin and self._init.stdout
        self._init.stdin.write(b"up\n")
        self._init.stdin.flush()
        self._init.stdout.readline()
        children = Path(f"/proc/{self._init.pid}/task/{self._init.pid}/children").read_text().split()
        self._enter = [*enter(children[0], "--pid"), "chroot", str(self.root)]
        self.fresh()

    def close(self) -> None:
        self.stop()
        self._init.kill()
        self._init.wait()
        self._log_socket.close()
        shutil.rmtree(self.root, ignore_errors=True)

    # ---- building it -------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        for name in ("bin", "dev", "exports", "proc", "sbin", "tmp", "usr/sbin", "usr/var/spool/postfix/maildrop"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        (self.root / "tmp").chmod(0o1777)
        for deb in host.postfix_debs():
            if deb.name.startswith(NAMES):
                subprocess.run(["dpkg-deb", "-x", str(deb), str(self.root)], check=True)
        shutil.copytree(ROOT, self.root, dirs_exist_ok=True)
        self._add("bin/busybox", Path(shutil.which("busybox") or "/bin/busybox").read_bytes(), 0o755)
        applets = subprocess.run(["busybox", "--list"], check=True, capture_output=True, text=True).stdout.split()
        for applet in applets:
            with contextlib.suppress(FileExistsError):
                (self.root / "bin" / applet).symlink_to("busybox")
        self._copy_libraries()
        for name, minor in (("null", 3), ("zero", 5), ("random", 8), ("urandom", 9)):
            os.mknod(self.root / "dev" / name, stat.S_IFCHR | 0o666, os.makedev(1, minor))
            (self.root / "dev" / name).chmod(0o666)
        accounts = ("root:x:0:0", "postfix:x:25:25", "mailrelay:x:587:587", "nobody:x:65534:65534")
        self._add("etc/passwd", "".join(f"{one}::/:/bin/false\n" for one in accounts))
        groups = ("root:x:0", "postfix:x:25", "postdrop:x:26", "mailrelay:x:587", "nogroup:x:65534")
        self._add("etc/group", "".join(f"{one}:\n" for one in groups))
        self._add("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n")
        self._add("etc/resolv.conf", "")
        self._add("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n")
        self._add("etc/postfix/main.cf", OWNERS_MAIN_CF)
        self._add("etc/postfix/master.cf", "")
        self._add("etc/ssl/certs/ca-certificates.crt", "")
        self._add("usr/lib/mailrelay/version", "1.0.0-r1\n")
        self._add("sbin/uci", UCI, 0o755)
        self._add("lib/functions.sh", "")
        os.chown(self.root / "usr/var/spool/postfix/maildrop", 25, 26)
        (self.root / "usr/var/spool/postfix/maildrop").chmod(0o730)

    def _add(self, name: str, content: str | bytes, mode: int = 0o644) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        path.chmod(mode)
        os.utime(path, (1e9, 1e9))  # Postfix waits until a file is some seconds old

    def _copy_libraries(self) -> None:
        """What the programs are linked to, from this machine where the packages do not bring it."""
        tree = self.root / "usr/lib"
        own = [*tree.glob("*-linux-*"), tree / "postfix"]
        environment = {**os.environ, "LD_LIBRARY_PATH": ":".join(map(str, own))}
        programs = [
            self.root / "bin/busybox",
            *(self.root / "usr/sbin").iterdir(),
            *(tree / "postfix/sbin").iterdir(),
            *tree.glob("*/sasl2/*.so"),
        ]
        listed = subprocess.run(
            ["ldd", *map(str, programs)], env=environment, capture_output=True, text=True, check=False
        ).stdout
        for name in set(re.findall(r"(/\S+) \(0x", listed)):
            target = self.root / name.lstrip("/")
            if not name.startswith(str(self.root)) and not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(name, target)

    def _collect(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self.lines.append(self._log_socket.recv(65536).decode(errors="replace").rstrip("\n\0"))

    # ---- using it ----------------------------------------------------------------------------------------------------

    def fresh(self) -> None:
        """No settings, no queue, no log."""
        self.stop()
        for name in ("etc/config", "etc/mailrelay", "var/run/mailrelay"):
            shutil.rmtree(self.root / name, ignore_errors=True)
            (self.root / name).mkdir(parents=True)
        for leftover in (self.root / "usr/var/spool/postfix/maildrop").iterdir():
            leftover.unlink()
        self._add("etc/postfix/main.cf", OWNERS_MAIN_CF)
        self._add("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n")
        self.lines.clear()

    @property
    def log(self) -> str:
        return "\n".join(self.lines)

    def path(self, name: str) -> Path:
        return self.root / name.lstrip("/")

    def configure(self, text: str | bytes, error: str = "") -> None:
        """/etc/config/mailrelay, and its accepted copy; `error` is what uci says of it."""
        data = text if isinstance(text, bytes) else text.encode()
        digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
        if error:
            self._add(f"exports/{digest}.error", error)
        else:
            self._add(f"exports/{digest}", export(data))
        for name in ("etc/config/mailrelay", "var/run/mailrelay/config"):
            self._add(name, data, 0o600)

    def sh(self, script: str, *, check: bool = True, engine: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs a script in busybox ash on the router, the engine's functions loaded."""
        if engine:
            script = f". /usr/lib/mailrelay/common.sh; . $LIB/postfix.sh\n{script}"
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "SPOOL": "/etc/mailrelay/spool", "SPOOL_MOUNT": ""}
        done = subprocess.run(
            [*self._enter, "/bin/sh", "-c", script],
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=60 * timeouts.factor(),
            stdin=subprocess.DEVNULL,
        )
        assert not check or done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done

    def check(self) -> tuple[int, list[str]]:
        done = self.sh("engine_check /etc/config/mailrelay", check=False)
        return done.returncode, done.stdout.splitlines()

    def command(self, addresses: str, subnets: str, ports: str, mount: str = "") -> list[str]:
        """What procd is told to run."""
        lines = self.sh(
            f"{PROCD}\nADDRESSES='{addresses}' SUBNETS='{subnets}' PORTS='{ports}' SPOOL_MOUNT='{mount}'\n"
            "engine_instance"
        ).stdout
        return [line.partition("\t")[2] for line in lines.splitlines() if line.startswith("command\t")]

    def start(
        self,
        port: int,
        addresses: str = "127.0.0.1",
        subnets: str = "127.0.0.0/8 ::1/128",
        mount: str = "",
        path: str = "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
    ) -> None:
        """As the init script does, procd's part included; returns when the first address listens."""
        self.sh(f"SPOOL_MOUNT='{mount}'\nengine_prepare")
        argv = self.command(addresses, subnets, str(port), mount)
        self.master = subprocess.Popen(
            [*self._enter, *argv],
            env={"PATH": path.partition("=")[2]},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        first = addresses.split()[0]
        deadline = timeouts.deadline(20)
        while not listens(first, port):
            if self.master.poll() is not None or time.monotonic() > deadline:
                assert self.master.stderr
                self.master.kill()
                raise AssertionError(f"no listener: {self.master.stderr.read().decode()}\n{self.log}")
            time.sleep(0.01)

    def stop(self) -> None:
        if self.master is None:
            return
        master, self.master = self.master, None
        if master.poll() is None:
            self.sh("pid=$(relay_pid) && kill $pid; while [ -d /proc/${pid:-0} ]; do sleep 0.05; done", check=False)
            master.wait(10)
        assert master.stderr
        master.stderr.close()

    def main_cf(self) -> str:
        return self.path("var/run/mailrelay/postfix/main.cf").read_text(errors="surrogateescape")

    def postconf(self, *names: str) -> list[str]:
        """Parameters as Postfix itself reads them from our main.cf."""
        argv = " ".join(names)
        return self.sh(f"postconf -c $POSTFIX_DIR -h -x {argv}").stdout.splitlines()

    def queue(self) -> list[dict[str, object]]:
        text = self.sh("postqueue -c $POSTFIX_DIR -j").stdout
        return [json.loads(line) for line in text.splitlines()]

    def wait_for_log(self, pattern: str, timeout: float = 20.0) -> re.Match[str]:
        deadline = timeouts.deadline(timeout)
        while not (found := re.search(pattern, self.log)):
            assert time.monotonic() < deadline, f"{pattern!r} is not in the log:\n{self.log}"
            time.sleep(0.02)
        return found


def listens(address: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as client:
        return client.connect_ex((address, port)) == 0


def built() -> Iterator[Router]:
    router = Router()
    try:
        yield router
    finally:
        router.close()
