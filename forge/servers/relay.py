"""The relay as a process of its own in a throwaway folder: started, asked, measured and killed from outside.

The demo, the bench and the end-to-end tests run it through this, by the command line that a user would type.
It listens on loopback only, and as root runs under an account that Debian always has.
"""

from __future__ import annotations

import contextlib
import functools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from forge.core import paths, proc, timeouts
from forge.core.errors import ForgeError
from forge.servers import postfix_holder

PARENT = "/var/tmp"  # a disk even where /tmp is memory: what the relay promises, it promises of a disk
START_SECONDS = 20.0
ACCOUNTS = ("mailrelay", "mail", "nobody")
SYSTEM_PYTHON = "/usr/bin/python3"


def command(*words: str) -> list[str]:
    """The command line of the relay's own program."""
    return [runner()[0], "-I", "-S", str(paths.RELAY), *words]


class Relay:
    """A relay on 127.0.0.1:`port` with a config, a spool and a log of its own, gone with its `with` block."""

    def __init__(self, config: str, *, port: int, python: str = sys.executable, allow: Sequence[str] = ()) -> None:
        self.port = port
        self._python, self._user = runner(python)
        self._config_text = config
        self._allow = allow
        self._process: subprocess.Popen[bytes] | None = None
        self.folder = Path()

    def __enter__(self) -> Relay:
        self.folder = Path(tempfile.mkdtemp(prefix="mailrelay-", dir=PARENT))
        self.folder.chmod(0o755)
        try:
            self.config.touch(0o600)
            self.config.write_text(self._config_text)
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def config(self) -> Path:
        return self.folder / "config"

    @property
    def spool(self) -> Path:
        return self.folder / "spool"

    @property
    def run_dir(self) -> Path:
        return self.folder / "run"

    @property
    def pid(self) -> int:
        """The supervisor's."""
        if self._process is None:
            raise ForgeError("the relay is not running")
        return self._process.pid

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    @property
    def argv(self) -> list[str]:
        """How it is started; as root, under an account that has no rights elsewhere."""
        argv = [self._python, "-I", "-S", str(paths.RELAY), "serve", "--log", "stderr"]
        argv += ["--config", str(self.config), "--listen", f"127.0.0.1:{self.port}"]
        argv += ["--spool", str(self.spool), "--run-dir", str(self.run_dir)]
        for net in self._allow:
            argv += ["--allow", net]
        return [*argv, "--user", self._user] if self._user else argv

    def start(self, timeout: float = START_SECONDS) -> None:
        """Return as soon as it greets; fail with the end of its log if it does not."""
        with (self.folder / "log").open("ab") as log:
            # A session of its own, so that Ctrl-C on a terminal is ours to handle.
            self._process = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        timeouts.wait(self._greets, time.monotonic() + timeout, self._silent, 0.002)

    def _silent(self) -> ForgeError:
        last = "\n  ".join(self.log.splitlines()[-12:])
        return ForgeError(f"the relay does not greet on port {self.port}; its log ends:\n  {last}")

    def _greets(self) -> bool:
        if self._process and self._process.poll() is not None:
            raise self._silent()
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as client:
                return client.recv(3) == b"220"
        except OSError:
            return False

    def stop(self, timeout: float = 10.0) -> int:
        """End it as its init script would; the exit status."""
        process, self._process = self._process, None
        if process is None:
            raise ForgeError("the relay is not running")
        process.terminate()
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            _kill(process)
            raise ForgeError(f"the relay did not end within {timeout:g} s of SIGTERM") from None

    def kill(self) -> None:
        """kill -9 of all its processes at once, with no chance to put anything in order."""
        if self._process is not None:
            _kill(self._process)
            self._process = None

    def close(self) -> None:
        self.kill()
        if self.folder != Path():
            shutil.rmtree(self.folder, ignore_errors=True)

    def processes(self) -> list[int]:
        """Supervisor, listener and, while there is one, the courier."""
        return postfix_holder.processes(self.pid)

    def memory(self) -> dict[str, int]:
        """Kilobytes; see postfix_holder.memory."""
        return postfix_holder.memory(self.processes())

    def run(self, *words: str, check: bool = True) -> str:
        """What one of its commands (queue, status, …) prints."""
        argv = [*command(words[0]), "--config", str(self.config), "--run-dir", str(self.run_dir)]
        if words[0] not in ("check", "test"):
            argv += ["--spool", str(self.spool)]
        return proc.run([*argv, *words[1:]], timeout=30, check=check).output


def _kill(process: subprocess.Popen[bytes]) -> None:
    def ended() -> bool:
        group = postfix_holder.processes(process.pid)
        for pid in group:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.poll()
        return not group

    timeouts.wait(ended, time.monotonic() + 10, lambda: ForgeError("the relay's processes do not end"), 0.002)
    process.wait(10)


def runner(python: str = sys.executable) -> tuple[str, str]:
    """The interpreter for the relay and, as root, the account it runs under; "" as anybody else.

    The account must be able to read both the interpreter's library and the checkout. Where it cannot (a home directory
    closed to others), the system's own Python is taken, and in the end root itself.
    """
    if os.getuid():
        return python, ""
    accounts = [entry.pw_name for entry in pwd.getpwall() if entry.pw_name in ACCOUNTS]
    accounts.sort(key=ACCOUNTS.index)
    for candidate in dict.fromkeys([python, SYSTEM_PYTHON]):
        for name in accounts:
            if _can_run(candidate, name):
                return candidate, name
    return python, "root"


@functools.lru_cache
def _can_run(python: str, user: str) -> bool:
    probe = "import sys, select, ssl; open(sys.argv[1]).close()"
    argv = [python, "-I", "-S", "-c", probe, str(paths.RELAY / "__main__.py")]
    try:
        return (
            subprocess.run(
                argv, user=user, group=pwd.getpwnam(user).pw_gid, extra_groups=[], capture_output=True
            ).returncode
            == 0
        )
    except OSError:
        return False
