"""A relay for tests: the real processes on loopback, with a scratch spool, and the few things a test asks of them."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

from forge.checks import coverage
from forge.core import paths, timeouts
from forge.core.ports import free_ports
from forge.servers import relay
from forge.servers.relay import alive as alive
from tests.support.scripted_provider import ScriptedProvider
from tests.support.waiting import PATIENCE, wait

SOURCE = paths.RELAY

SMARTHOST = """
config smarthost 'provider'
	option host '127.0.0.1'
	option port '{port}'
	option tls 'none'
	option auth 'none'
"""


def smarthost(provider: ScriptedProvider | int, name: str = "provider", *options: str) -> str:
    """A section `config smarthost` for that provider, or for that port of loopback."""
    port = provider if isinstance(provider, int) else provider.port
    lines = "".join(f"\toption {option}\n" if "list " not in option else f"\t{option}\n" for option in options)
    return SMARTHOST.format(port=port).replace("'provider'", f"'{name}'") + lines


def free_port() -> int:
    return free_ports(1)[0]


def relay_python() -> str:
    """The Python that the relay runs on: the tests' own, unless the environment names one."""
    return os.environ.get("MAILRELAY_PYTHON") or sys.executable


def relay_command(*arguments: str, python: str = "", source: Path = SOURCE) -> list[str]:
    """The command line of `mailrelay`."""
    return coverage.relay(python or relay_python(), source, *arguments)


def user() -> list[str]:
    """--user for a relay started as root: somebody harmless who can read this Python, else root itself."""
    if os.geteuid() != 0:
        return []
    real = Path(relay_python()).resolve()
    open_to_all = all(part.stat().st_mode & 0o001 for part in (real, *real.parents, *SOURCE.parents))
    return ["--user", "nobody" if open_to_all else "root"]


class Relay(relay.Relay):
    """`main` are lines of the config's main section, `rest` are further sections as text."""

    own_session = False  # what ends all of the tests ends it too

    def __init__(
        self, main: str = "", rest: str = "", *, allow: tuple[str, ...] = (), options: tuple[str, ...] = ()
    ) -> None:
        super().__init__("", port=free_port(), python=relay_python(), allow=allow, parent=None)
        self.options = options
        self.configure(main, rest)

    def configure(self, main: str = "", rest: str = "") -> None:
        head = "config mailrelay 'main'\n\toption hostname 'relay.example.net'\n\toption min_free_space '0'\n"
        lines = "".join(f"\t{line.strip()}\n" for line in main.strip().splitlines())
        self.config.write_text(head + lines + rest)
        self.config.chmod(0o600)

    def runner(self, python: str) -> tuple[str, str]:
        return python, "".join(user()[1:])

    def command(self, *words: str) -> list[str]:
        return relay_command(*words)

    def ready(self) -> bool:
        return bool(self.status().get("pid") == self.pid)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if kind is not None:
            print(self.log())
        self.close()

    def role(self, name: str) -> int | None:
        """The pid of the listener (it has an epoll descriptor) or of the courier (it has none)."""
        for pid in self.children():
            with contextlib.suppress(OSError):
                links = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
                if any("eventpoll" in link for link in links) == (name == "listener"):
                    return pid
        return None

    def listener(self) -> int:
        return int(wait(lambda: self.role("listener"), "there is a listener"))

    def courier(self) -> int:
        return int(wait(lambda: self.role("courier"), "there is a courier"))

    def status(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads((self.run_dir / "status.json").read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return found

    def wait_log(self, text: str, count: int = 1, patience: float = PATIENCE) -> str:
        """Until that text stands in the log so many times; the last line that holds it."""
        wait(lambda: self.log().count(text) >= count, f"{text!r} in the log:\n{self.log()[-3000:]}", patience)
        return next(line for line in reversed(self.log().splitlines()) if text in line)

    def queue(self, state: str = "queue") -> list[str]:
        return sorted(path.name for path in (self.spool / state).glob("*"))

    def connect(self, source: str = "127.0.0.1") -> Client:
        return Client(self.port, source)

    def send(
        self,
        content: bytes = b"Subject: Alarm\r\n\r\npump 3\r\n",
        *recipients: str,
        sender: str = "plc@example.net",
        source: str = "127.0.0.1",
    ) -> str:
        """One whole session of a well-behaved client; the queue id."""
        with self.connect(source) as client:
            return client.mail(content, *recipients, sender=sender)


class Client:
    """A client on a socket that checks each reply's code."""

    def __init__(self, port: int, source: str = "127.0.0.1") -> None:
        self.sock = socket.create_connection(
            ("127.0.0.1", port), timeout=PATIENCE * timeouts.factor(), source_address=(source, 0)
        )
        self.file = self.sock.makefile("rb")
        self.banner = self.reply()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.file.close()
        self.sock.close()

    def reply(self) -> str:
        lines = []
        while True:
            line = self.file.readline().decode()
            lines.append(line.rstrip("\r\n"))
            if line[3:4] != "-":
                return "\n".join(lines)

    def say(self, command: str | bytes, code: str = "") -> str:
        self.sock.sendall((command if isinstance(command, bytes) else command.encode()) + b"\r\n")
        reply = self.reply()
        assert reply.startswith(code), f"{command!r}: {reply}"
        return reply

    def begin_data(self, *recipients: str, sender: str = "plc@example.net") -> None:
        """Say everything up to DATA."""
        self.say("EHLO plc", "250")
        self.say(f"MAIL FROM:<{sender}>", "250")
        for recipient in recipients or ("owner@example.org",):
            self.say(f"RCPT TO:<{recipient}>", "250")
        self.say("DATA", "354")

    def mail(self, content: bytes, *recipients: str, sender: str = "plc@example.net") -> str:
        self.begin_data(*recipients, sender=sender)
        return self.say(content + b".", "250").split()[-1]


def processor_seconds(pid: int) -> float:
    """Seconds of processor time that a process has used so far."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
