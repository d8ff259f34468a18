"""The supervisor's children: the one that reads the settings, and what the others go through before they are listener
or courier: fork, signals, file limits, rights.

Called by the supervisor, and by the roles themselves as soon as they need no more rights.
"""

from __future__ import annotations

import errno
import marshal
import os
import resource
import sys
import time

from mailrelay.config import settings
from mailrelay.core import log, paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Iterable, Iterator
    from typing import TypeVar

    from mailrelay.config.settings import Plan, Settings

    T = TypeVar("T")
else:
    import _signal as signal  # signal and socket would cost a megabyte for their enums

HANDLED = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
_FILES = 128  # beside those of connections


class Scarcity:
    """Whether the machine lets us make processes. What it refuses is tried again after PAUSE seconds, logged once."""

    PAUSE = 1.0

    def __init__(self) -> None:
        self.lasts = False

    def attempt(self, make: Callable[[], T]) -> T | None:
        """Return what `make` returns, None where it cannot have a process now."""
        try:
            made = make()
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.ENOMEM):
                raise
            if not self.lasts:
                log.event("no-process", log.ERROR, reason=error.strerror, text="tried again every second")
            self.lasts = True
            return None
        self.lasts = False
        return made

    def persist(self, make: Callable[[], T]) -> T:
        """Return what `make` returns, as soon as it can have a process."""
        while (made := self.attempt(make)) is None:
            time.sleep(self.PAUSE)
        return made


def load(arguments: list[str]) -> Plan | int:
    """Have a child read options and config. Return the plan, or the exit code if it has said what is wrong.

    Raise OSError if there can be no child now.
    """

    def read(answer: int) -> int:
        from mailrelay.config import startup

        return startup.main(arguments, answer)

    code, data = _ask_child(read)
    return settings.restore_plan(marshal.loads(data)) if code == 0 and data else code


def accept_config(plan: Plan) -> None:
    """Let couriers read the config that the plan was made from; OpenWrt's init script hands us that very file."""
    path = f"{plan.run_dir}/{paths.ACCEPTED_CONFIG}"
    if plan.config != path:
        os.rename(f"{path}.new", path)


def accepted_settings(path: str) -> Settings:
    """Have a child read the settings in `path` with their secrets. ValueError if they have faults by now."""

    def read(answer: int) -> int:
        from mailrelay.config import machine, schema

        with open(path, "rb") as file:
            accepted = schema.check(file.read(), path, machine.ThisMachine())[0]
        if accepted is not None:
            with os.fdopen(answer, "wb") as pipe:
                marshal.dump(settings.whole(accepted), pipe)
        return 0

    _, data = _ask_child(read)
    if not data:
        raise ValueError(path)
    return settings.restore(marshal.loads(data))


def _ask_child(read: Callable[[int], int]) -> tuple[int, bytes]:
    """Run `read` in a child, because parsers are large. Return its exit code, and what it wrote to the descriptor."""
    answer_r, answer_w = os.pipe()
    try:
        pid = os.fork()
    except OSError:
        os.close(answer_r)
        os.close(answer_w)
        raise
    if not pid:
        code = os.EX_SOFTWARE
        try:
            os.close(answer_r)
            code = read(answer_w)
            sys.stdout.flush()
        finally:
            os._exit(code)
    os.close(answer_w)
    with os.fdopen(answer_r, "rb") as pipe:
        data = pipe.read()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), data


def catch_signals() -> tuple[int, int]:
    """Have signals written to a pipe from now on. Return its ends."""
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for number in HANDLED:
        signal.signal(number, lambda *_: None)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    return reading, writing


def fork(run: Callable[[], None], not_theirs: Iterable[int]) -> int:
    """Run a role in a child that never returns. Return its pid. `not_theirs` are descriptors that it does not get.

    Raise OSError if there can be no child now.

    No signal meets a child that still has our handlers: it would ring our bell instead.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
    pid = -1
    try:
        pid = os.fork()
    finally:
        if pid:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
    if pid:
        return pid
    code = os.EX_SOFTWARE
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
            signal.signal(number, signal.SIG_IGN)  # for the supervisor, though a terminal tells the whole group
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
        for fd in not_theirs:
            os.close(fd)
        run()
        code = 0
    except BaseException as error:  # where it happened, never what it said: that may hold a secret
        place = error.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        where = f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place is not None else ""
        reason = error.strerror if isinstance(error, OSError) else None
        log.event("crashed", log.ERROR, error=type(error).__name__, reason=reason, where=where)
    finally:
        os._exit(code)


def ended() -> Iterator[tuple[int, int]]:
    """Reap the children that have ended. Yield the pid and exit code of each."""
    while True:
        try:
            pid, code = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        yield pid, os.waitstatus_to_exitcode(code)


def wait(pid: int, seconds: float) -> None:
    """Reap that child; leave it to itself if it takes longer."""
    until = time.monotonic() + seconds
    while not os.waitpid(pid, os.WNOHANG)[0] and time.monotonic() < until:
        time.sleep(0.01)


def drop_rights(owner: tuple[int, int] | None) -> None:
    """Become that user for good; None: stay who we are."""
    if owner:
        os.setgroups([])
        os.setresgid(owner[1], owner[1], owner[1])
        os.setresuid(owner[0], owner[0], owner[0])
    os.umask(0o077)


def raise_limits(connections: int) -> None:
    """Allow files for that many connections, and for a large message that comes in over each; while we still may."""
    wanted = 2 * connections + _FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(hard, wanted)))
        except (ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            log.event("few-files", log.WARNING, limit=hard, wanted=wanted)
