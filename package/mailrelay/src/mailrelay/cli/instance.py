"""Finds the relay of this machine: what its status file says, if it runs, its spool and the way in, its control FIFO.

For the commands that people and programs call. The relay itself knows all this from its plan.
"""

from __future__ import annotations

import errno
import os
import select
import stat

from mailrelay.cli.service import read, why_not_running
from mailrelay.core import clock, ipc, paths
from mailrelay.core.paths import DEFAULT_CONFIG, DEFAULT_RUN_DIR
from mailrelay.spool import spool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailrelay.config.settings import Settings
    from mailrelay.daemon.status_file import StatusFacts

_PATIENCE = 5.0  # seconds for the supervisor to read what we say


class Stop(Exception):
    """A command cannot be done: an exit code (sysexits.h) and one line that says why and what to do."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


def single_line(argument: str) -> bytes:
    """Return an argument that is to be an address, or several. Stop for one with a line end or another control
    character in it, which somebody could read as the end of the address or of a command."""
    if any(c < " " or "\x7f" <= c < "\xa0" or c in "\u2028\u2029" for c in argument):
        raise Stop(os.EX_USAGE, f"'{argument}' has a line end or a control character in it; nothing was sent")
    return os.fsencode(argument)


class Relay:
    """The relay that uses this run directory, running or not. `status`: what its file says, {} without one."""

    def __init__(self, config: str = DEFAULT_CONFIG, run_dir: str = DEFAULT_RUN_DIR, spool_dir: str = "") -> None:
        self.config = config
        self.run_dir = run_dir
        self.status = self._read_status()
        self.running = self._lives()
        self._spool_dir = spool_dir

    def _read_status(self) -> StatusFacts:
        import json

        path = f"{self.run_dir}/{paths.FILE}"
        try:
            with open(path, "rb") as file:
                status: StatusFacts = json.loads(file.read())
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except PermissionError:
            raise Stop(os.EX_NOPERM, f"{path}: cannot be read by this user; run this as root") from None
        except ValueError:
            raise Stop(os.EX_DATAERR, f"{path}: not a status file; name the relay's with --run-dir DIR") from None
        return status if isinstance(status, dict) else {}

    def _lives(self) -> bool:
        """Return whether the process that wrote the file still runs, and is no other one that got its number."""
        pid = self.status.get("pid")
        if not isinstance(pid, int) or pid <= 0:
            return False
        try:
            os.kill(pid, 0)
        except PermissionError:
            pass  # somebody else's, and alive
        except OSError:
            return False
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                return b"serve" in file.read().split(b"\0")  # empty for a zombie
        except OSError:
            return True  # /proc hides other users' processes

    def settings(self) -> Settings:
        """Read and check the config. Stop if it cannot be read or has faults."""
        from mailrelay.config import machine, schema

        settings, faults, _ = schema.load(self.config, machine.ThisMachine())
        if settings is None:
            more = f" (and {len(faults) - 1} more: mailrelay check)" if len(faults) > 1 else ""
            raise Stop(fault_code(self.config, os.EX_CONFIG), f"{faults[0]}{more}")
        return settings

    def spool_dir(self) -> str:
        """Return where the spool is: as the caller said, as the running relay says, or as the config says."""
        if self._spool_dir:
            return self._spool_dir
        if self.running and isinstance(self.status.get("spool"), str):
            return str(self.status["spool"])
        try:
            return self.settings().main.spool
        except Stop as stop:
            raise Stop(stop.code, f"{stop.text}; or name the spool with --spool DIR") from None

    def enter(self) -> spool.Spool:
        """Enter the spool as its owner: from here on root is no longer root, and works in no stranger's directory.

        What is to be imported has to be by now: the owner may be unable to read this code.
        """
        path = self.spool_dir()
        was_root = os.geteuid() == 0
        become_owner(path)
        where = spool.Spool(path)
        try:
            os.listdir(path)
        except PermissionError:
            text = "only root and the relay's user may look in there; run this as root"
            if was_root:
                text = f"its owner (uid {os.geteuid()}) cannot reach it; open the folders above it to that user"
            raise Stop(os.EX_NOPERM, f"{path}: {text}") from None
        return where

    def control(self) -> Control:
        """Open the way to tell the running relay something. Stop if it does not run or may not be told by us."""
        if not self.running:
            raise Stop(
                os.EX_TEMPFAIL,
                f"the relay is {why_not_running(read(self.run_dir))}; it then tries all that waits",
            )
        path = f"{self.run_dir}/{paths.CONTROL}"
        try:
            fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
        except PermissionError:
            raise Stop(os.EX_NOPERM, "only root may tell the relay what to do; run this as root") from None
        except OSError as error:
            reason = "nobody listens" if error.errno == errno.ENXIO else error.strerror
            raise Stop(
                os.EX_TEMPFAIL, f"{path}: {reason}; the relay seems to be starting or ending, try again"
            ) from None
        if not stat.S_ISFIFO(os.fstat(fd).st_mode):
            os.close(fd)
            raise Stop(os.EX_TEMPFAIL, f"{path}: not a FIFO; restart the relay")
        return Control(fd)

    def control_if_any(self) -> Control | None:
        """Open that way where there is one, for what may also stay untold."""
        try:
            return self.control() if self.running else None
        except Stop:
            return None


class Control:
    """The supervisor's FIFO, opened before rights are dropped."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def flush(self) -> None:
        """Have everything tried now."""
        self.request([ipc.FLUSH])

    def request(self, words: Sequence[str]) -> None:
        """Tell of messages that are in the queue and due."""
        for lines in ipc.encode_lines(words):
            self._write(lines)

    def _write(self, data: bytes) -> None:
        deadline = clock.boottime() + _PATIENCE
        while True:
            try:
                os.write(self._fd, data)
                return
            except BlockingIOError:
                poll = select.poll()
                poll.register(self._fd, select.POLLOUT)
                left = deadline - clock.boottime()
                if left <= 0 or not poll.poll(left * 1000):
                    raise Stop(
                        os.EX_TEMPFAIL, "the relay does not read what it is told; try again, or restart it"
                    ) from None
            except BrokenPipeError:
                raise Stop(os.EX_TEMPFAIL, "the relay ended just now; it tries all that waits when it starts") from None


def fault_code(config: str, fault: int) -> int:
    """Return the exit code for settings that cannot be read, `fault` for any that can and have one."""
    if not os.path.exists(config):
        return os.EX_NOINPUT
    return fault if os.access(config, os.R_OK) else os.EX_NOPERM


def become_owner(path: str) -> None:
    """Become the owner of a directory for good, if we are root. Stop if there is no such directory."""
    try:
        folder = os.stat(path)
    except FileNotFoundError:
        text = f"{path}: there is no spool; the relay makes it when it first starts, or name another with --spool DIR"
        raise Stop(os.EX_NOINPUT, text) from None
    except PermissionError:
        raise Stop(os.EX_NOPERM, f"{path}: not for this user; run this as root") from None
    if not stat.S_ISDIR(folder.st_mode):
        raise Stop(os.EX_NOINPUT, f"{path}: not a directory; name the spool with --spool DIR")
    if os.geteuid() == 0 and folder.st_uid != 0:
        from mailrelay.daemon import processes

        processes.drop_rights((folder.st_uid, folder.st_gid))
