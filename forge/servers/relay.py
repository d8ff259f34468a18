"""The relay as a process of its own in a throwaway folder: started, asked, measured and killed from outside.

The demo, the bench and all tests run it through this, by the command line that a user would type.
It listens on loopback only, and as root runs under an account that Debian always has.
"""

from __future__ import annotations

import contextlib
import functools
import os
import pwd
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from forge.core import paths, proc, timeouts
from forge.core.errors import ForgeError
from forge.core.ports import greeting
from forge.servers import postfix_holder

if TYPE_CHECKING:
    from typing import Self

PARENT = "/var/tmp"  # a disk even where /tmp is memory: what the relay promises, it promises of a disk
START_SECONDS = 20.0
ACCOUNTS = ("mailrelay", "mail", "nobody")
SYSTEM_PYTHON = "/usr/bin/python3"


class Relay:
    """A relay on 127.0.0.1:`port` with a config, a spool and a log in a folder of its own, gone with its `with` block.

    tests/support/relay.py has a subclass that is started in more ways and asked more.
    """

    own_session = True  # Ctrl-C on a terminal is ours to handle

    def __init__(
        self,
        config: str,
        *,
        port: int,
        python: str = sys.executable,
        allow: Sequence[str] = (),
        parent: str | None = PARENT,
    ) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="mailrelay-", dir=parent, ignore_cleanup_errors=True)
        self.folder = Path(self._temporary.name)
        self.folder.chmod(0o755)
        self.config, self.spool, self.run_dir = self.folder / "config", self.folder / "spool", self.folder / "run"
        self.config.touch(0o600)
        self.config.write_text(config)
        self.port = port
        self.allow = allow
        self.options: Sequence[str] = ()
        self.process: subprocess.Popen[bytes] | None = None
        self.python, self.user = self.runner(python)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def runner(self, python: str) -> tuple[str, str]:
        return runner(python)

    @property
    def pid(self) -> int:
        """The supervisor's."""
        if self.process is None:
            raise ForgeError("the relay is not running")
        return self.process.pid

    def log(self) -> str:
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def command(self, *words: str) -> list[str]:
        """The command line of the relay's own program."""
        return [self.python, "-I", "-S", str(paths.RELAY), *words]

    @property
    def argv(self) -> list[str]:
        """How it is started; as root, under an account that has no rights elsewhere."""
        argv = self.command("serve", "--log", "stderr", "--config", str(self.config))
        argv += ["--listen", f"127.0.0.1:{self.port}", "--spool", str(self.spool), "--run-dir", str(self.run_dir)]
        for net in self.allow:
            argv += ["--allow", net]
        return [*argv, *(("--user", self.user) if self.user else ()), *self.options]

    def start(self) -> None:
        """Return as soon as it is ready; fail with the end of its log if it does not get there."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=self.own_session
            )

        def ready() -> bool:
            if self.process and self.process.poll() is not None:
                raise self._failed(f"the relay ended with {self.process.returncode}")
            return self.ready()

        late = self._failed(f"the relay on port {self.port} does not get ready")
        timeouts.wait(ready, timeouts.deadline(START_SECONDS), lambda: late, 0.002)

    def ready(self) -> bool:
        """Whether it greets."""
        return greeting(("127.0.0.1", self.port)).startswith("220")

    def _failed(self, what: str) -> ForgeError:
        last = "\n  ".join(self.log().splitlines()[-12:])
        return ForgeError(f"{what}; its log ends:\n  {last}")

    def stop(self, number: int = signal.SIGTERM, timeout: float = 10.0) -> int:
        """End the supervisor, as its init script would, and wait for its children to be gone too; the exit status."""
        if self.process is None:
            return 0
        process, children = self.process, self.children()
        self.process = None
        process.send_signal(number)
        try:
            status = process.wait(timeout * timeouts.factor())
        except subprocess.TimeoutExpired:
            _kill(process)
            raise ForgeError(f"the relay did not end within {timeout:g} s of signal {number}") from None
        outlived = ForgeError("the relay's children outlive it")
        timeouts.wait(lambda: not any(map(alive, children)), timeouts.deadline(timeout), lambda: outlived, 0.002)
        return status

    def kill(self) -> None:
        """kill -9 of all its processes at once, with no chance to put anything in order."""
        if self.process is not None:
            _kill(self.process)
            self.process = None

    def flush(self) -> None:
        """Try everything in the queue now, as `mailrelay queue flush` does."""
        os.kill(self.pid, signal.SIGUSR1)

    def close(self) -> None:
        self.kill()
        self._temporary.cleanup()

    def children(self) -> list[int]:
        try:
            return [int(word) for word in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]
        except FileNotFoundError:
            return []

    def processes(self) -> list[int]:
        """Supervisor, listener and, while there is one, the courier."""
        return postfix_holder.processes(self.pid)

    def memory(self) -> dict[str, int]:
        """Kilobytes; see postfix_holder.memory."""
        return postfix_holder.memory(self.processes())

    def run(self, *words: str, check: bool = True) -> str:
        """What one of its commands (queue, status, …) prints."""
        argv = [*self.command(words[0]), "--config", str(self.config), "--run-dir", str(self.run_dir)]
        if words[0] not in ("check", "test"):
            argv += ["--spool", str(self.spool)]
        return proc.run([*argv, *words[1:]], timeout=30, check=check).output


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()

    def ended() -> bool:
        group = postfix_holder.processes(process.pid)
        for pid in group:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.poll()
        return not group

    timeouts.wait(ended, time.monotonic() + 10, lambda: ForgeError("the relay's processes do not end"), 0.002)
    process.wait(10)


def alive(pid: int) -> bool:
    """Whether it runs still; one that nobody has waited for (there is no init in a container) does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


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
        group = pwd.getpwnam(user).pw_gid
        return not subprocess.run(argv, user=user, group=group, extra_groups=[], capture_output=True).returncode
    except OSError:
        return False
